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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.near_names import NameIndex, differences, near_hint
from vpar_cache.datasets.frames_on_disk import endings, find_frames, note_other_files, other_files
from vpar_cache.datasets.labels import KeyColumn, LabelFile, LabelRow, read_labels
from vpar_cache.datasets.tracklet import (
    Dataset,
    LeftOut,
    Split,
    Tracklet,
    build_dataset,
    first_few,
    is_plain_name,
    list_names,
    require,
)
from vpar_cache.errors import DataError, Report, UserError, counted, refuse

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MAX_FOLDERS = 200_000
"""That are compared with a tracklet whose folder is missing."""
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


@dataclass(frozen=True)
class LabelledFolders:
    """The rows of a label file with their folders."""

    file: LabelFile
    tracklets: tuple[Tracklet, ...]
    """In the order of the file."""
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    people_known: bool
    lines: Mapping[str, int]
    """Of the label file, by tracklet id."""


def load_folder(root: Path, labels: Path, schema: Schema, follow_links: Path | None = None) -> Dataset:
    """Return the tracklets that the label file lists, in folders under `root`.

    A tracklet whose folder is missing or without frames is left out. Links are followed inside the root, and into
    `follow_links`, a real path, where frames may be links too. Raises UserError where the root or the
    label file is missing, DataError where the contents of the label file are invalid.
    """
    found = read_folders(root, labels, schema, follow_links)
    return build_dataset("folder", schema, found.tracklets, found.left_out, found.notes, found.people_known)


def read_folders(
    root: Path, labels: Path, schema: Schema, follow_links: Path | None = None, report: Report = refuse
) -> LabelledFolders:
    """Return what load_folder makes its dataset of.

    What is wrong with a row goes to `report`; where that returns, the other rows are still read. A row with
    neither a label nor a split is not used, and a note says so.
    """
    require(root, "folder", "give the folder that holds the tracklets as --root", UserError)
    require(labels, "file", "give the label file as --labels, or put it into the root as labels.csv", UserError)
    file = read_labels(labels, schema, _COLUMNS, report)
    people, person_notes = number_people(file.rows, report)
    folders = _Folders(Path(os.path.realpath(root)), follow_links)
    lines: dict[Path, int] = {}
    line_of: dict[str, int] = {}
    tracklets: list[Tracklet] = []
    left_out: list[LeftOut] = []
    other: list[str] = []
    unused: list[str] = []
    for row, person_id in zip(file.rows, people, strict=True):
        try:
            tracklet_id, folder = folders.of(row)
            if folder in lines:  # by the real folder, so that a link cannot bring a tracklet into both splits
                raise row.error("tracklet", f"is also the folder of line {lines[folder]}; keep one row")
            lines[folder] = line_of[tracklet_id] = row.line
            if not (row.keys["split"] or row.known.any()):
                unused.append(tracklet_id)
                continue
            split = split_of(row)
            camera_id = row.integer("camera_id") if "camera_id" in row.keys else 0
        except DataError as error:
            report(error)
            continue
        names = list_names(folder, "file") | list_names(folder, "link")
        frames = sorted_frames(names)
        if frames:
            other += [f"{tracklet_id}/{name}" for name in other_files(names, frames)]
        problem = _problem(frames, names) if folder.is_dir() else folders.missing(tracklet_id)
        if problem:
            left_out.append(LeftOut(tracklet_id, split, problem))
            continue
        tracklets.append(
            Tracklet(tracklet_id, split, person_id, camera_id, folder, frames, row.labels, row.quality, row.known)
        )
    tracklets, without_frames = find_frames(tracklets, follow_links)
    return LabelledFolders(
        file,
        tuple(tracklets),
        (*left_out, *without_frames),
        (*file.notes, *person_notes, *note_other_files(other, FRAME_SUFFIXES), *_note_unused(unused)),
        any("person_id" in row.keys for row in file.rows),
        line_of,
    )


def _note_unused(tracklet_ids: Sequence[str]) -> list[str]:
    if not tracklet_ids:
        return []
    have = counted(len(tracklet_ids), "tracklet has", "tracklets have")
    return [f"{have} neither a label nor a split ({first_few(tracklet_ids)}): not used"]


def sorted_frames(names: Iterable[str]) -> tuple[str, ...]:
    """Return the images among `names` in natural order, frame2 before frame10, without hidden files."""
    images = [n for n in names if Path(n).suffix.lower() in FRAME_SUFFIXES and not n.startswith(".")]
    return tuple(sorted(images, key=natural_order))


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Return a key that compares digits as numbers: every second part is digits."""
    parts = [int(part) if i % 2 else part for i, part in enumerate(_DIGITS.split(name))]
    return parts, name


def _problem(frames: Sequence[str], names: Iterable[str]) -> str:
    """Return why a tracklet of these frames cannot be used; empty where it can. `names`: all in its folder."""
    if not frames:
        other = other_files(names, frames)
        but = f", but {endings(other)}: save them in one of these formats" if other else ""
        return f"its folder holds no frame ({', '.join(FRAME_SUFFIXES)}){but}"
    odd = next((name for name in frames if not is_plain_name(name)), None)
    return f"frame name {odd!r} is not printable text" if odd else ""


class _Folders:
    """Where the tracklets' folders are. The label file cannot lead out of the root and of `follow_links`."""

    def __init__(self, real_root: Path, follow_links: Path | None) -> None:
        self._root, self._follow_links = real_root, follow_links

    def of(self, row: LabelRow) -> tuple[str, Path]:
        """Return (tracklet_id, folder)."""
        name = row.keys["tracklet"]
        if not is_plain_name(name):
            raise row.error("tracklet", "must be printable text; rename it")
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name:
            near = self._names.near(name) if "\\" in name else None
            raise row.error(
                "tracklet",
                "must be a folder inside the root, such as personA/seq1, without .. or \\"
                + near_hint(name, near, "the root has"),
            )
        folder = self._real(row, path)
        if not folder.is_dir():
            near = self._names.near(path.as_posix())
            if near is not None and differences(path.as_posix(), near) == ["Unicode form"]:
                folder = self._real(row, PurePosixPath(near))  # macOS and its archives write another form
        return path.as_posix(), folder

    def _real(self, row: LabelRow, path: PurePosixPath) -> Path:
        folder = Path(os.path.realpath(self._root / path))
        inside = folder != self._root and folder.is_relative_to(self._root)
        if not inside and not (self._follow_links and folder.is_relative_to(self._follow_links)):
            raise row.error(
                "tracklet",
                f"resolves to {folder}, outside the root; copy the frames into the root, or allow the link with "
                "--follow-links DIR, the folder that it leads into",
            )
        return folder

    def missing(self, tracklet_id: str) -> str:
        """Return why a tracklet without a folder cannot be used."""
        near = self._names.near(tracklet_id)
        return "its folder is missing" + near_hint(tracklet_id, near, "the root has")

    @cached_property
    def _names(self) -> NameIndex:
        """All folders under the root, as far as they are looked at: only a missing one asks for them."""
        found = islice(os.walk(self._root), MAX_FOLDERS)
        return NameIndex(Path(at).relative_to(self._root).as_posix() for at, _, _ in found)


def split_of(row: LabelRow) -> Split:
    """Return the split of a row. Raises DataError for a word that is none."""
    split = _SPLIT_NAMES.get(row.keys["split"].lower())
    if split is None:
        raise row.error("split", "is not a split; write train, validation or test")
    return split


def number_people(
    rows: Sequence[LabelRow], report: Report = refuse, unit: str = "tracklet"
) -> tuple[list[int], list[str]]:
    """Return a number for each row's person, and notes where the numbers are not the file's own.

    `unit`: what a row is about.
    """
    if not any("person_id" in row.keys for row in rows):
        return list(range(len(rows))), [
            f"no person_id column: each {unit} counts as its own person, so an overlap of people between train "
            "and test cannot be seen"
        ]
    for row in rows:
        if not row.keys["person_id"]:
            report(row.error("person_id", "is empty; name the person"))
    if all(row.is_integer("person_id") for row in rows):
        return [row.integer("person_id") for row in rows], []
    codes: dict[str, int] = {}
    people = [codes.setdefault(row.keys["person_id"], len(codes)) for row in rows]
    return people, [f"person_id is text: {counted(len(codes), 'person', 'people')}, numbered by first appearance"]
