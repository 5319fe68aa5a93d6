"""A person to be described: some frames of one person, cut from a video or read from files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def text_of(path: Path) -> str:
    """Return a path as text that every kind of file can hold: bytes that are no UTF-8 are written as \\xff."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@dataclass(frozen=True, eq=False)
class Crop:
    """One person in one frame."""

    picture: NDArray[np.uint8]
    """(H, W, 3) RGB at its own size."""
    frame: int | None = None
    """Number of the frame in its video, from 1 as in MOTChallenge files; None for a picture file."""
    second: float | None = None
    """Time of the frame in its video, in seconds from the start."""


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a track, with the best frames of that part (--windows). It comes before its track."""

    tracklet_id: str
    crops: tuple[Crop, ...]
    first_frame: int
    last_frame: int
    first_second: float
    last_second: float


@dataclass(frozen=True, eq=False)
class Track:
    """One person in one input. It holds at most T frames, whatever its length."""

    tracklet_id: str
    """Unique in a call: the input and the track, as in shop.mp4/17."""
    source: str
    """The input, as the user gave it."""
    crops: tuple[Crop, ...]
    """The frames to encode, in time order; never empty."""
    counts: tuple[int, ...] = ()
    """How often each of them counts; empty: fewer than T frames are repeated evenly."""
    track_id: int | None = None
    """As the box file or the tracker numbers it; None for pictures."""
    first_frame: int | None = None
    last_frame: int | None = None
    first_second: float | None = None
    last_second: float | None = None
