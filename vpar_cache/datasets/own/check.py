"""Finds all that is wrong with own data in one pass, before any encoding.

It reads the folder as the loader does and goes on where the loader would stop. It also decodes every frame and
looks for labels from which nothing can be learned.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.built_in import load_schema
from vpar_cache.attributes.schema import Group, Schema
from vpar_cache.base.files import read_plain
from vpar_cache.base.progress import progress
from vpar_cache.datasets.decoding import decode_image
from vpar_cache.datasets.folder import FRAME_SUFFIXES, LabelledFolders, read_folders
from vpar_cache.datasets.frames_on_disk import check_link_folder, note_other_files, other_files
from vpar_cache.datasets.loading import MAX_FILE_BYTES, map_ahead, read_frame
from vpar_cache.datasets.own.folders import find_tracklet_folders
from vpar_cache.datasets.own.template import LABELS, SCHEMA
from vpar_cache.datasets.tracklet import NEEDED_SPLITS, SPLITS, Split, Tracklet, first_few, list_names, require
from vpar_cache.errors import DataError, UserError, VparError, count_of, counted

MIN_PEOPLE = 10
"""In train and in test. With fewer a model learns these people, and a score hangs on one or two of them."""
THREADS = 4
"""That read and decode frames; Pillow decodes without Python's lock."""
_AHEAD = 64
_LINE = re.compile(r"(?P<file>.*?) line (?P<line>\d+)(?P<rest>[,:] .*)", re.DOTALL)


@dataclass(frozen=True)
class Checked:
    """What was found, and what was looked at."""

    findings: tuple[str, ...]
    """Each on one line: where, what, and how to fix it."""
    tracklets: int
    """With a row, a split, a label and frames."""
    people: int | None
    """None where nobody knows them."""
    frames: int
    """That were decoded."""
    notes: tuple[str, ...] = ()
    """What is good to know, but nothing wrong."""
    unit: str = "tracklet"
    """What a row is: a tracklet or an image."""


def check_dataset(
    root: Path, labels: Path | None = None, schema: str | None = None, follow_links: Path | None = None
) -> Checked:
    """Return all that is wrong with the tracklets under `root`, by default with its labels.csv and schema.toml.

    Raises UserError only where `root` is not a folder.
    """
    require(root, "folder", "give the folder that holds the tracklets; `vpar init DIR` starts one", UserError)
    links_into = check_link_folder(follow_links)
    labels = labels or root / LABELS
    findings: list[str] = []
    found: LabelledFolders | None = None
    try:
        table = load_schema(schema or str(root / SCHEMA))
        found = read_folders(root, labels, table, links_into, lambda error: findings.append(str(error)))
    except VparError as error:  # without a schema or a header no row can be read
        findings.append(str(error))
    else:
        findings += _check_rows(
            found, labels, root, faulty={int(m["line"]) for m in map(_LINE.match, findings) if m}
        )
        findings += _check_people(found, labels)
        for split in NEEDED_SPLITS:
            of_split = [tracklet for tracklet in found.tracklets if tracklet.split == split]
            findings += check_values(table, of_split, split, f"{labels}, column")
    tracklets = found.tracklets if found else ()
    try:
        jobs = list(_frames(root, tracklets))
    except DataError as error:
        findings.append(str(error))
        jobs = []
    findings += decode_frames(jobs)
    labelled = [tracklet for tracklet in tracklets if tracklet.known_labels().any()]
    people = {tracklet.person_id for tracklet in labelled}
    return Checked(tuple(joined(findings)), len(labelled), len(people), len(jobs))


def _check_rows(found: LabelledFolders, labels: Path, root: Path, faulty: Set[int]) -> Iterator[str]:
    """Yield what is wrong with columns, and with folders of single rows. Of `faulty` lines a fault is known."""
    for column in found.file.other_columns:
        yield (
            f"{labels}, column {column[:60]!r}: the schema has no such attribute, so nothing reads it. Rename the "
            "column, add a [[group]] to the schema, or remove the column"
        )
    if not found.people_known:
        yield (
            f"{labels}: got no column person_id; expected the name of each tracklet's person. Without it nobody "
            "can see whether a person is both in train and in test"
        )
    for row in found.file.rows:
        if not row.known.any() and row.line not in faulty:
            yield f"{labels} line {row.line}: the tracklet has no label: not used. Label it, or remove the row"
    for left_out in found.left_out:
        line = found.lines[left_out.tracklet_id]
        yield f"{labels} line {line}: tracklet {left_out.tracklet_id!r}: {left_out.reason}"
    other = [
        f"{tracklet.tracklet_id}/{name}"
        for tracklet in found.tracklets
        for name in other_files(list_names(tracklet.folder, "file"), tracklet.frames)
    ]
    yield from (
        f"{root}: {note}. Save them in one of these formats" for note in note_other_files(other, FRAME_SUFFIXES)
    )
    listed = {row.keys["tracklet"] for row in found.file.rows} | set(found.lines)
    if unlisted := [folder.name for folder in find_tracklet_folders(root) if folder.name not in listed]:
        folders = counted(len(unlisted), "folder with frames has", "folders with frames have")
        yield f"{labels}: {folders} no row ({first_few([repr(name) for name in unlisted])}). Add the rows"


def _check_people(found: LabelledFolders, labels: Path) -> Iterator[str]:
    """Yield who is in two splits, and the splits that have too few people."""
    names = {row.line: row.keys.get("person_id", "") for row in found.file.rows}
    lines: dict[Split, dict[int, list[int]]] = {split: defaultdict(list) for split in SPLITS}
    for tracklet in found.tracklets:
        if tracklet.known_labels().any():
            lines[tracklet.split][tracklet.person_id].append(found.lines[tracklet.tracklet_id])
    for one, other in combinations(SPLITS, 2):
        for person in sorted(set(lines[one]) & set(lines[other])):
            first, second = lines[one][person][0], lines[other][person][0]
            yield (
                f"{labels} line {second}: person {names[second]!r} is in {other}, and in {one} in line {first}: "
                f"{other} scores would be too high. Give all tracklets of a person one split"
            )
    for split in NEEDED_SPLITS:
        if (count := len(lines[split])) < MIN_PEOPLE:
            who = "people" if found.people_known else "tracklets"
            yield (
                f"{labels}: got {count} labelled {who} in {split}; expected at least {MIN_PEOPLE}. Label more, or "
                "give some of another split"
            )


def check_values(schema: Schema, tracklets: Sequence[Tracklet], split: Split, what: str) -> Iterator[str]:
    """Yield the attributes of which the tracklets of a split show one value, and in train the values they lack.

    `what` stands before the name of an attribute, as in "labels.csv, column".
    """
    if not tracklets:
        return
    values = np.stack([tracklet.labels for tracklet in tracklets])  # (n, A)
    known = np.stack([tracklet.known_labels() for tracklet in tracklets])  # (n, A)
    for group, columns in schema.slices():
        is_known = known[:, columns.start]  # (n,)
        rows = values[is_known, columns]  # (known, outputs of the group)
        where = f"{what} {group.columns[0]!r}:"
        absent = _absent(group, rows)
        meanings = group.value_names()
        if not len(rows):
            none = f"no {schema.unit} of {split} has a label"
            yield f"{where} {none}. Label some, or remove the group from the schema"
        elif len(absent) == group.num_values - 1:
            (value,) = set(range(group.num_values)) - set(absent)
            labelled = counted(len(rows), "label of", "labels of")
            so = "nothing can be learned" if split == "train" else "its score says nothing"
            yield (
                f"{where} got {labelled} {split}, all of them {value} = {meanings[value]}: {so}. Label others "
                "of other values, or remove the group from the schema"
            )
        elif absent and split == "train":
            shown = ", ".join(f"{value} = {meanings[value]}" for value in absent)
            yield f"{where} no {schema.unit} of train has {shown}: it cannot be learned. Label some, or remove it"


def _absent(group: Group, rows: NDArray[np.uint8]) -> list[int]:
    """Return the values of a group that none of the (known, outputs) rows has."""
    if group.is_choice:
        return [value for value in range(group.num_values) if not rows[:, value].any()]
    return [value for value in (0, 1) if not (rows == value).any()]


def _frames(root: Path, tracklets: Iterable[Tracklet]) -> Iterator[tuple[Path, Callable[[], bytes]]]:
    """Yield each frame with what reads it: those of the label file, and those that it does not list."""
    listed = set()
    for tracklet in tracklets:
        listed.add(tracklet.folder)
        for name in tracklet.frames:
            yield tracklet.folder / name, partial(read_frame, tracklet, name)
    for folder in find_tracklet_folders(root.resolve()):
        path = root.resolve() / folder.name
        if path not in listed:
            for name in folder.frames:
                yield path / name, partial(read_plain, path / name, MAX_FILE_BYTES)


def decode_frames(jobs: Sequence[tuple[Path, Callable[[], bytes]]]) -> list[str]:
    """Return what is wrong with frames."""
    findings = []
    with ThreadPoolExecutor(THREADS) as pool, progress(total=len(jobs), unit="frame", desc="check") as bar:
        for finding in map_ahead(pool, _problem, jobs, _AHEAD):
            bar.update()
            findings += [finding] if finding else []
    return findings


def _problem(job: tuple[Path, Callable[[], bytes]]) -> str:
    """Return what is wrong with a frame; empty where nothing is."""
    path, read = job
    try:
        data = read()
        if len(data) > MAX_FILE_BYTES:
            raise DataError(f"the file is larger than {MAX_FILE_BYTES} bytes")
        decode_image(data)
    except OSError as error:
        return f"{path}: {error.strerror or error}. Check its permissions, or copy the file here"
    except DataError as error:
        return f"{path}: {error}. Save the picture again, or remove it"
    return ""


def joined(findings: Iterable[str]) -> Iterator[str]:
    """Yield the findings; those that differ in the line alone become one with all lines."""
    lines: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        match = _LINE.fullmatch(finding)
        key = (match["file"], match["rest"]) if match else (finding, "")
        lines.setdefault(key, []).extend([match["line"]] if match else [])
    for (file, rest), at in lines.items():
        more = f" and {len(at) - 8} more" if len(at) > 8 else ""
        yield file + (f" line{'s' if len(at) > 1 else ''} {', '.join(at[:8])}{more}" if at else "") + rest


def summary(checked: Checked) -> str:
    """Return one line on what was looked at and how much was found."""
    people = "" if checked.people is None else f" of {counted(checked.people, 'person', 'people')}"
    return (
        f"{count_of(checked.tracklets, f'labelled {checked.unit}')}{people}, "
        f"{count_of(checked.frames, 'frame')} decoded: "
        + (count_of(len(checked.findings), "finding") if checked.findings else "nothing found")
    )
