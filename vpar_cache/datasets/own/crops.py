"""Cuts the people of a video out of its frames: a folder a track, with some of its frames spread over time."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vpar_cache.base.checks import check_whole
from vpar_cache.base.files import partial_path, plain_failures

JPEG_QUALITY = 95
"""A crop is encoded again by nobody: its faults would be learned."""


@dataclass(frozen=True)
class CropLimits:
    """What is cut of a track."""

    frames: int = 12
    """At most so many, spread evenly over the time of the track."""
    min_height: int = 40
    """Pixels that a box must be high inside the picture; lower ones are not cut."""
    min_frames: int = 5
    """With fewer boxes of that height a track is dropped."""

    def check(self) -> None:
        """Raise UserError for a limit out of range."""
        check_whole("--frames", self.frames, 1, 1000)
        check_whole("--min-height", self.min_height, 1, 10_000)
        check_whole("--min-frames", self.min_frames, 1, 10**9)


@dataclass(frozen=True)
class CropPlan:
    """The crops to cut, and what is left out."""

    by_frame: Mapping[int, tuple[tuple[int, tuple[int, int, int, int]], ...]]
    """Of each frame the tracks with their boxes: left, top, right, bottom inside the picture."""
    tracks: int
    short_tracks: int
    small_boxes: int
    """Also those outside the picture."""

    @property
    def crops(self) -> int:
        return sum(map(len, self.by_frame.values()))


def plan_crops(
    frames: NDArray[np.int64],  # (n,)
    tracks: NDArray[np.int64],  # (n,)
    boxes: NDArray[np.float64],  # (n, 4)
    size: tuple[int, int],
    limits: CropLimits,
) -> CropPlan:
    """Return which boxes to cut, of n frame numbers, track ids, and boxes of left, top, width and height.

    `size`: width and height of the picture. A box is cut at its edges, and to whole pixels.
    """
    corners = np.stack([*boxes[:, :2].T, *(boxes[:, :2] + boxes[:, 2:]).T], axis=1)  # (n, 4)
    edges = np.array([*size, *size])  # (4,)
    pixels = np.clip(np.rint(corners), 0, edges).astype(np.int64)  # (n, 4) left, top, right, bottom
    large = (pixels[:, 3] - pixels[:, 1] >= limits.min_height) & (pixels[:, 2] > pixels[:, 0])  # (n,)
    by_frame: dict[int, list[tuple[int, tuple[int, int, int, int]]]] = defaultdict(list)
    kept, found = 0, np.unique(tracks)  # (tracks,)
    for track in found.tolist():
        (of_track,) = np.nonzero((tracks == track) & large)  # (boxes of the track,)
        if len(of_track) < limits.min_frames:
            continue
        kept += 1
        in_time = of_track[np.argsort(frames[of_track], kind="stable")]  # (boxes of the track,)
        places = np.linspace(0, len(in_time) - 1, min(limits.frames, len(in_time))).round()  # (frames to cut,)
        for i in in_time[places.astype(np.int64)].tolist():
            left, top, right, bottom = pixels[i].tolist()
            by_frame[int(frames[i])].append((track, (left, top, right, bottom)))
    return CropPlan(
        {frame: tuple(of_frame) for frame, of_frame in sorted(by_frame.items())},
        kept,
        len(found) - kept,
        int((~large).sum()),
    )


def write_crops(folder: Path, plan: CropPlan, pictures: Iterable[tuple[int, NDArray[np.uint8]]]) -> list[int]:
    """Write FOLDER/TRACK/FRAME.jpg for each crop, and return the frames that `pictures` lacks.

    `pictures`: numbers from 1, in order, with (H, W, 3) RGB; no more are taken than the plan needs. The folder
    appears when all is written. Raises CacheError where it cannot be written.
    """
    missing = set(plan.by_frame)
    last = max(missing, default=0)
    partial = partial_path(folder)
    try:
        with plain_failures(folder):
            partial.mkdir(parents=True)
            for number, picture in pictures:
                for track, (left, top, right, bottom) in plan.by_frame.get(number, ()):
                    file = partial / str(track) / f"{number:06d}.jpg"
                    file.parent.mkdir(exist_ok=True)
                    crop = Image.fromarray(picture[top:bottom, left:right])  # (height, width, 3)
                    crop.save(file, quality=JPEG_QUALITY, subsampling=0)
                missing.discard(number)
                if number >= last:
                    break
            partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sorted(missing)
