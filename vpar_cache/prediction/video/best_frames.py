"""The best frames of one track while it is open: sharp, large, not covered, and spread over its time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vpar_cache.prediction.tracks import Crop

MOST_PIXELS = 448
"""Longest side of a kept crop: twice what the encoder sees."""
_SHARP = 150.0
"""Variance of the Laplacian of a crop, in grey values, that counts as half sharp."""


@dataclass(frozen=True, eq=False)
class _Kept:
    crop: Crop
    quality: float


class BestFrames:
    """At most 2 T crops of one track, each the best of its part of the time."""

    def __init__(self, wanted: int) -> None:
        """`wanted`: T."""
        self._wanted = wanted
        self._width = 1
        """Boxes in each part."""
        self._parts: dict[int, _Kept] = {}
        self._count = 0

    def add(self, crop: Crop, quality: float) -> None:
        """Keep the crop where it is the best of its part. When 2 T parts are full, neighbours are joined."""
        part = self._count // self._width
        self._count += 1
        if part >= 2 * self._wanted:
            self._width *= 2
            joined: dict[int, _Kept] = {}
            for number, kept in self._parts.items():
                _put(joined, number // 2, kept)
            self._parts = joined
            part = (self._count - 1) // self._width
        _put(self._parts, part, _Kept(crop, quality))

    def crops(self) -> tuple[Crop, ...]:
        """Return at most T crops in time order: the best of each of T parts."""
        parts = [self._parts[number] for number in sorted(self._parts)]
        if len(parts) <= self._wanted:
            return tuple(kept.crop for kept in parts)
        groups = np.array_split(np.arange(len(parts)), self._wanted)
        return tuple(max((parts[i] for i in group), key=lambda kept: kept.quality).crop for group in groups)


def _put(parts: dict[int, _Kept], number: int, kept: _Kept) -> None:
    if number not in parts or kept.quality > parts[number].quality:
        parts[number] = kept


def cut_out(picture: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8] | None:
    """Return the part (h, w, 3) of a picture (H, W, 3) in a box (4,), at most MOST_PIXELS long; None outside."""
    height, width = picture.shape[:2]
    left, top = np.floor(np.clip(box[:2], 0, (width, height))).astype(int)
    right, bottom = np.ceil(np.clip(box[:2] + box[2:], 0, (width, height))).astype(int)
    if right <= left or bottom <= top:
        return None
    crop = picture[top:bottom, left:right]  # (h, w, 3)
    if max(crop.shape[:2]) > MOST_PIXELS:
        image = Image.fromarray(np.ascontiguousarray(crop))
        image.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.BICUBIC)
        return np.asarray(image)
    return crop.copy()  # not a view, which would keep the whole frame


def quality(
    crop: NDArray[np.uint8], box: NDArray[np.float64], others: NDArray[np.float64], inside: float
) -> float:
    """Return how good a crop (h, w, 3) is, to compare with others of its track.

    The square root of its area, times its share that no other box (m, 4) covers, times how much of its box is
    inside the picture, times its sharpness from 0.5 to 1.
    """
    grey = crop.mean(axis=2)  # (h, w)
    if min(grey.shape) < 3:
        sharp = 0.0
    else:
        around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]  # (h - 2, w - 2)
        sharp = float((around - 4 * grey[1:-1, 1:-1]).var())
    return float(
        np.sqrt(box[2] * box[3]) * (1 - covered(box, others)) * inside * (0.5 + 0.5 * sharp / (sharp + _SHARP))
    )


def covered(box: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return the largest share of a box (4,) that one of the boxes (m, 4) in front of it covers.

    In front is what ends lower in the picture.
    """
    front = others[others[:, 1] + others[:, 3] > box[1] + box[3]]  # (k, 4)
    if not len(front):
        return 0.0
    left_top = np.maximum(front[:, :2], box[:2])  # (k, 2)
    ends = np.minimum(front[:, :2] + front[:, 2:], box[:2] + box[2:])  # (k, 2)
    common = np.clip(ends - left_top, 0, None).prod(axis=1)  # (k,)
    return float((common / (box[2] * box[3])).max())
