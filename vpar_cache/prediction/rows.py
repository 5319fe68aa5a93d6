"""What is known of each person once the model has answered: a row of the table, and what outputs draw from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """The value of one group."""

    group: str
    value: str
    """yes or no; of a choice the name of the most probable value, or unknown."""
    probability: float
    """Of yes; of a choice, of the most probable value, also where the answer is unknown."""


@dataclass(frozen=True)
class Segment:
    """A part of a track in which a group has one value (--windows)."""

    group: str
    value: str
    probability: float
    first_frame: int
    last_frame: int
    first_second: float
    last_second: float


@dataclass(frozen=True)
class PersonRow:
    """One tracklet with its answers."""

    tracklet_id: str
    source: str
    track_id: int | None
    first_frame: int | None
    last_frame: int | None
    first_second: float | None
    last_second: float | None
    frames_used: int
    answers: tuple[Answer, ...]
    """One a group that is not hidden, in the schema's order."""
    probabilities: tuple[float, ...]
    """(A,) of the outputs that are not hidden."""
    segments: tuple[Segment, ...] = ()
    thumbnails: tuple[bytes, ...] = ()
    """Some of the frames in time order, as small JPEG files; empty unless an output draws them."""


class People(Protocol):
    """Rows that are counted and read again and again: a list, or a file of them."""

    def __iter__(self) -> Iterator[PersonRow]: ...

    def __len__(self) -> int: ...
