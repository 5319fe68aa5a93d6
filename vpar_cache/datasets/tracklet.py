"""The result of every loader: labelled tracklets and what was left out; and the steps that loaders share."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from reprlib import repr as short_repr
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.near_names import NameIndex, near_hint
from vpar_cache.errors import DataError, VparError, count_of, counted

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
"""In the order of a dataset."""
NEEDED_SPLITS: tuple[Split, ...] = ("train", "test")
"""Every dataset has these; validation tracklets may be there too."""
_ORDER: dict[str, int] = {split: place for place, split in enumerate(SPLITS)}


@dataclass(frozen=True, eq=False)
class Tracklet:
    """The crops of one person in one camera over time, with its labels."""

    tracklet_id: str
    """Unique in the dataset; for MARS the frame name without its frame: 0001C1T0001."""
    split: Split
    person_id: int
    camera_id: int
    folder: Path
    """The folder that holds the frames."""
    frames: tuple[str, ...]
    """Plain file names inside `folder`, in time order; never empty."""
    labels: NDArray[np.uint8]
    """(A,) of 0 and 1, in schema order; 0 where unknown."""
    quality: NDArray[np.uint8]
    """(Q,) of 0 and 1, the schema's quality flags."""
    known: NDArray[np.bool_] | None = None
    """(A,) which labels are known; of a choice all outputs or none. None: all are."""
    links_into: Path | None = None
    """Frames that are links are read where they lead into this folder, a real path. None: no link is read."""

    def known_labels(self) -> NDArray[np.bool_]:
        """Return (A,), which labels are known."""
        return np.ones(len(self.labels), np.bool_) if self.known is None else self.known


@dataclass(frozen=True)
class LeftOut:
    """A labelled tracklet that cannot be used, and why. Counted against --max-bad."""

    tracklet_id: str
    split: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Tracklets in a fixed order: train, validation, test, each by tracklet_id. See `build_dataset`."""

    name: str
    schema: Schema
    tracklets: tuple[Tracklet, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """What the user should know: unmatched label rows, unlabelled tracklets, unknown labels, identity overlap."""
    people_known: bool = True
    """Whether person ids name people; False: they were invented, one for each tracklet."""

    def count(self, split: Split) -> int:
        return sum(tracklet.split == split for tracklet in self.tracklets)

    def num_people(self, split: Split) -> int:
        return len({t.person_id for t in self.tracklets if t.split == split})


def is_plain_name(name: str) -> bool:
    """Return whether a name of a file or folder is printable text; any space of Unicode counts as such."""
    return all(c.isprintable() or unicodedata.category(c) == "Zs" for c in name)


def first_few(names: Sequence[object]) -> str:
    """Return the start of a long list for a message: `first: a, b, c, d, e`."""
    return f"first: {', '.join(str(name) for name in names[:5])}"


def build_dataset(
    name: str,
    schema: Schema,
    tracklets: Sequence[Tracklet],
    left_out: Iterable[LeftOut] = (),
    notes: Iterable[str] = (),
    people_known: bool = True,
) -> Dataset:
    """Return the dataset in the fixed order, with notes on unknown labels and on people in two splits.

    Raises DataError for a repeated tracklet id, invalid labels, or no train or test tracklet.
    """
    counts = Counter(tracklet.tracklet_id for tracklet in tracklets)
    if twice := sorted(tracklet_id for tracklet_id, count in counts.items() if count > 1):
        shown = f"{count_of(len(twice), 'tracklet id')} given twice ({first_few(twice)})"
        raise DataError(f"{name}: {shown}; ids must be unique")
    for tracklet in tracklets:
        _check_labels(tracklet, schema, f"{name}: tracklet {tracklet.tracklet_id!r}")
    left_out, notes = sorted(left_out, key=_place), list(notes)
    # A tracklet without any known label can neither train nor be scored, as one without a row in the label file.
    unlabelled = sorted(t.tracklet_id for t in tracklets if not t.known_labels().any())
    if unlabelled:
        has = counted(len(unlabelled), f"{schema.unit} has", f"{schema.unit}s have")
        notes.append(f"{has} no known label ({first_few(unlabelled)}): not used")
    usable = sorted((t for t in tracklets if t.known_labels().any()), key=_place)
    for split in NEEDED_SPLITS:
        if not any(tracklet.split == split for tracklet in usable):
            lost = [f"{item.tracklet_id}: {item.reason}" for item in left_out if item.split == split]
            why = f"{len(lost)} were left out ({lost[0]})" if lost else "; ".join(notes) or "none is listed"
            raise DataError(
                f"{name}: no {split} {schema.unit}s: {why}; train and test both need labelled {schema.unit}s"
            )
    notes += _unknown_labels(usable, schema)
    if people_known:
        notes += _people_in_two_splits(usable)
    once = tuple(dict.fromkeys(notes))  # a dataset that is built again has these notes already
    return Dataset(name, schema, tuple(usable), tuple(left_out), once, people_known)


def _check_labels(tracklet: Tracklet, schema: Schema, where: str) -> None:
    """Raise DataError unless split, labels, known and quality are what `Tracklet` says."""
    if tracklet.split not in SPLITS:
        raise DataError(f"{where}: split: got {tracklet.split!r}; expected one of {', '.join(SPLITS)}")
    known, outputs = tracklet.known_labels(), schema.num_outputs
    for field, values, count in (
        ("labels", tracklet.labels, outputs),
        ("known", known, outputs),
        ("quality", tracklet.quality, len(schema.quality)),
    ):
        if values.shape != (count,) or not set(values.tolist()) <= {0, 1}:
            got = short_repr(values.tolist())
            raise DataError(f"{where}: {field}: got {got}; expected {count} values of 0 or 1")
    if known.dtype != np.bool_:
        raise DataError(f"{where}: known: got {known.dtype}; expected bool")
    if (tracklet.labels > known).any():
        raise DataError(f"{where}: labels: got 1 where `known` is False; expected 0 where a label is unknown")
    if not schema.are_groups_whole(known[None]):
        raise DataError(f"{where}: known: got part of a group; expected all outputs of a group or none")


def _unknown_labels(tracklets: Sequence[Tracklet], schema: Schema) -> list[str]:
    """Return a note on how many labels of each group are unknown, where any are."""
    unknown = (~np.stack([tracklet.known_labels() for tracklet in tracklets])).sum(axis=0)  # (A,)
    counts = [(group.name, unknown[columns.start]) for group, columns in schema.slices()]
    shown = ", ".join(f"{name} {count}" for name, count in counts if count)
    of = count_of(len(tracklets), schema.unit)
    return [f"unknown labels of {of}: {shown}; they count in no score"] if shown else []


def _people_in_two_splits(tracklets: Sequence[Tracklet]) -> list[str]:
    """Return a note for each two splits that share people."""
    people = {split: {t.person_id for t in tracklets if t.split == split} for split in SPLITS}
    return [
        f"{counted(len(both), 'person is', 'people are')} in both {one} and {other} "
        f"({first_few(both)}): {other} scores will be too high"
        for one, other in combinations(SPLITS, 2)
        if (both := sorted(people[one] & people[other]))
    ]


def _place(item: Tracklet | LeftOut) -> tuple[int, str]:
    """Return a key that sorts train, validation, test, then by tracklet_id."""
    return _ORDER.get(item.split, len(_ORDER)), item.tracklet_id


EntryKind = Literal["file", "folder", "link"]


def require(path: Path, kind: Literal["file", "folder"], fix: str, error: type[VparError] = DataError) -> None:
    """Raise `error`, with a name that is near and how to fix it, unless the file or folder exists."""
    try:
        found = path.is_file() if kind == "file" else path.is_dir()
    except OSError as reason:
        raise error(f"{path} cannot be read ({reason.strerror}); {fix}") from reason
    if not found:
        near = NameIndex(list_names(path.parent, kind)).near(path.name)
        raise error(f"no {kind} at {path}{near_hint(path.name, near, f'{path.parent} has')}; {fix}")


def list_names(folder: Path, kind: EntryKind) -> set[str]:
    """Return the names of the files, folders or links in `folder`; none where it is missing.

    A link to a file is also a file, a link to a folder also a folder.

    Raises DataError for a folder that cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if _IS_KIND[kind](entry)}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); check its name and permissions") from error


_IS_KIND: dict[EntryKind, Callable[[os.DirEntry[str]], bool]] = {
    "file": os.DirEntry.is_file,
    "folder": os.DirEntry.is_dir,
    "link": os.DirEntry.is_symlink,
}
