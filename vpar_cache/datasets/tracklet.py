"""The result of every loader: labelled tracklets and what was left out; and the steps that loaders share."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.errors import DataError, VparError

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


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
    """(A,) of 0 and 1, in schema order."""
    quality: NDArray[np.uint8]
    """(Q,) of 0 and 1, the schema's quality flags."""


@dataclass(frozen=True)
class LeftOut:
    """A labelled tracklet that cannot be used, and why. Counted against --max-bad."""

    tracklet_id: str
    split: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Tracklets in a fixed order: train before test, each by tracklet_id."""

    name: str
    schema: Schema
    tracklets: tuple[Tracklet, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """What the user should know: unmatched label rows, unlabelled tracklets, identity overlap."""

    def count(self, split: Split) -> int:
        return sum(tracklet.split == split for tracklet in self.tracklets)

    def num_people(self, split: Split) -> int:
        return len({t.person_id for t in self.tracklets if t.split == split})


def first_few(names: Sequence[object]) -> str:
    """Return the start of a long list for a message: `first: a, b, c, d, e`."""
    return f"first: {', '.join(str(name) for name in names[:5])}"


def build_dataset(
    name: str,
    schema: Schema,
    tracklets: list[Tracklet],
    left_out: Iterable[LeftOut] = (),
    notes: Iterable[str] = (),
) -> Dataset:
    """Return the dataset in the fixed order, with a note where a person is in both splits.

    Raises DataError for a repeated tracklet id or an empty split.
    """
    counts = Counter(tracklet.tracklet_id for tracklet in tracklets)
    if twice := sorted(tracklet_id for tracklet_id, count in counts.items() if count > 1):
        raise DataError(f"{name}: {len(twice)} tracklet ids occur twice ({first_few(twice)}); ids must be unique")
    left_out, notes = sorted(left_out, key=_place), tuple(notes)
    for split in SPLITS:
        if not any(tracklet.split == split for tracklet in tracklets):
            lost = [f"{item.tracklet_id}: {item.reason}" for item in left_out if item.split == split]
            why = f"{len(lost)} were left out ({lost[0]})" if lost else "; ".join(notes) or "none is listed"
            raise DataError(f"{name}: no {split} tracklets: {why}; train and test both need labelled tracklets")
    people = {split: {t.person_id for t in tracklets if t.split == split} for split in SPLITS}
    if both := sorted(people["train"] & people["test"]):
        note = f"{len(both)} people are in both train and test ({first_few(both)}): test scores will be too high"
        notes = (*notes, note)
    return Dataset(name, schema, tuple(sorted(tracklets, key=_place)), tuple(left_out), notes)


def _place(item: Tracklet | LeftOut) -> tuple[bool, str]:
    """Return a key that sorts train before test, then by tracklet_id."""
    return item.split == "test", item.tracklet_id


EntryKind = Literal["file", "folder"]


def require(path: Path, kind: EntryKind, fix: str, error: type[VparError] = DataError) -> None:
    """Raise `error`, with how to fix it, unless the file or folder exists."""
    try:
        found = path.is_file() if kind == "file" else path.is_dir()
    except OSError as reason:
        raise error(f"{path} cannot be read ({reason.strerror}); {fix}") from reason
    if not found:
        raise error(f"no {kind} at {path}; {fix}")


def list_names(folder: Path, kind: EntryKind) -> set[str]:
    """Return the names of the files or folders in `folder`; none where it is missing.

    Raises DataError for a folder that cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return {e.name for e in entries if (e.is_file() if kind == "file" else e.is_dir())}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); check its name and permissions") from error


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the contents of a file. Raises DataError where it cannot be read or is larger than `max_bytes`."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    if len(data) > max_bytes:
        raise DataError(f"{path} is over {max_bytes} bytes, too large for such a file. Check the path")
    return data
