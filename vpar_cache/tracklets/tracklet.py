"""What every dataset becomes: a list of labelled tracklets, and an account of what was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vpar_cache.schema import Schema

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


def identity_overlap_notes(tracklets: list[Tracklet]) -> list[str]:
    """A note when the same person stands in train and test: scores would measure memory."""
    people = {split: {t.person_id for t in tracklets if t.split == split} for split in SPLITS}
    both = sorted(people["train"] & people["test"])
    if not both:
        return []
    shown = ", ".join(str(person) for person in both[:5])
    return [f"{len(both)} people are in both train and test (first: {shown}): test scores will flatter"]


def duplicate_ids(tracklets: list[Tracklet]) -> list[str]:
    """Tracklet ids that occur more than once, sorted."""
    counts = Counter(tracklet.tracklet_id for tracklet in tracklets)
    return sorted(tracklet_id for tracklet_id, count in counts.items() if count > 1)
