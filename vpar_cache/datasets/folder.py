"""Your own data: a folder of frames per tracklet, and one label file.

    ROOT/personA/seq1/frame1.jpg ...    frames (jpg, jpeg, png, webp, bmp), in natural order of their names
    ROOT/labels.csv                     the label file, here or elsewhere

The label file has a column `tracklet` (the folder, relative to the root, separated by /), a column `split` (train,
validation or test) and one column per group of the schema; an empty cell is an unknown label. Columns `person_id`
(any text or integer), `camera_id` (an integer, else 0) and the schema's quality flags are optional.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from vpar_cache.attributes.schema import Schema
from vpar_cache.datasets.labels import KeyColumn, LabelRow, read_labels
from vpar_cache.datasets.tracklet import (
    Dataset,
    LeftOut,
    Split,
    Tracklet,
    build_dataset,
    list_names,
    require,
)
from vpar_cache.errors import UserError

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_COLUMNS = (
    KeyColumn("tracklet"),
    KeyColumn("split"),
    KeyColumn("person_id", optional=True),
    KeyColumn("camera_id", optional=True),
)
_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
_DIGITS = re.compile(r"([0-9]+)")


def load_folder(root: Path, labels: Path, schema: Schema) -> Dataset:
    """Return the tracklets that the label file lists, in folders under `root`.

    A tracklet whose folder is missing or without frames is left out. Raises UserError where the root or the
    label file is missing, DataError where the contents of the label file are invalid.
    """
    require(root, "folder", "give the folder that holds the tracklets as --root", UserError)
    require(labels, "file", "give the label file as --labels, or put it into the root as labels.csv", UserError)
    file = read_labels(labels, schema, _COLUMNS)
    people, person_notes = _person_ids(file.rows)
    people_known = "person_id" in file.rows[0].keys
    real_root = Path(os.path.realpath(root))
    lines: dict[Path, int] = {}
    tracklets: list[Tracklet] = []
    left_out: list[LeftOut] = []
    for row, person_id in zip(file.rows, people, strict=True):
        tracklet_id, folder = _tracklet_folder(row, real_root)
        if folder in lines:  # by the real folder, so that a link cannot bring a tracklet into both splits
            raise row.error("tracklet", f"is also the folder of line {lines[folder]}; keep one row")
        lines[folder] = row.line
        split = _split(row)
        camera_id = row.integer("camera_id") if "camera_id" in row.keys else 0
        frames = sorted_frames(list_names(folder, "file"))
        problem = _problem(frames)
        if problem:
            left_out.append(LeftOut(tracklet_id, split, problem))
            continue
        tracklets.append(
            Tracklet(tracklet_id, split, person_id, camera_id, folder, frames, row.labels, row.quality, row.known)
        )
    return build_dataset("folder", schema, tracklets, left_out, (*file.notes, *person_notes), people_known)


def sorted_frames(names: Iterable[str]) -> tuple[str, ...]:
    """Return the images among `names` in natural order, frame2 before frame10, without hidden files."""
    images = [n for n in names if Path(n).suffix.lower() in FRAME_SUFFIXES and not n.startswith(".")]
    return tuple(sorted(images, key=_natural))


def _natural(name: str) -> tuple[list[str | int], str]:
    """Return a key that compares digits as numbers: every second part is digits."""
    parts = [int(part) if i % 2 else part for i, part in enumerate(_DIGITS.split(name))]
    return parts, name


def _problem(frames: Sequence[str]) -> str:
    """Return why a tracklet of these frames cannot be used; empty where it can."""
    if not frames:
        return f"its folder is missing or holds no frame ({', '.join(FRAME_SUFFIXES)})"
    odd = next((name for name in frames if not name.isprintable()), None)
    return f"frame name {odd!r} is not printable text" if odd else ""


def _tracklet_folder(row: LabelRow, real_root: Path) -> tuple[str, Path]:
    """Return (tracklet_id, folder). The label file cannot lead out of the root."""
    name = row.keys["tracklet"]
    if not name.isprintable():
        raise row.error("tracklet", "must be printable text; rename it")
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise row.error("tracklet", "must be a folder inside the root, such as personA/seq1, without .. or \\")
    folder = Path(os.path.realpath(real_root / path))
    if folder == real_root or not folder.is_relative_to(real_root):
        raise row.error("tracklet", f"resolves to {folder}, outside the root; copy the frames into the root")
    return path.as_posix(), folder


def _split(row: LabelRow) -> Split:
    split = _SPLIT_NAMES.get(row.keys["split"].lower())
    if split is None:
        raise row.error("split", "is not a split; write train, validation or test")
    return split


def _person_ids(rows: Sequence[LabelRow]) -> tuple[list[int], list[str]]:
    """Return a number for each row's person, and notes where the numbers are not the file's own."""
    if "person_id" not in rows[0].keys:
        return list(range(len(rows))), [
            "no person_id column: each tracklet counts as its own person, so an overlap of people between train "
            "and test cannot be seen"
        ]
    for row in rows:
        if not row.keys["person_id"]:
            raise row.error("person_id", "is empty; name the person")
    if all(row.is_integer("person_id") for row in rows):
        return [row.integer("person_id") for row in rows], []
    codes: dict[str, int] = {}
    people = [codes.setdefault(row.keys["person_id"], len(codes)) for row in rows]
    return people, [f"person_id is text: the {len(codes)} people are numbered by first appearance"]
