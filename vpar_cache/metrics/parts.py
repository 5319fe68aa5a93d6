"""Parts of the test tracklets: with and without a quality flag, by camera, by length.

A part is easier or harder for every predictor alike: more of its people may wear trousers. So each part has
baselines of its own, and the distance to them is what may be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vpar_cache.errors import count_of
from vpar_cache.metrics.inputs import Bools

MIN_TRACKLETS = 10
"""A part with fewer has no score: one tracklet would move it by ten points."""


class Part(NamedTuple):
    """Some of N tracklets."""

    kind: str
    """quality, camera or length"""
    name: str
    rows: Bools
    """(N,)"""


def parts_of(
    flags: Sequence[str], quality: Bools, camera_ids: NDArray[np.int64], num_frames: NDArray[np.int64]
) -> list[Part]:
    """Return the parts of N tracklets, from their quality flags (N, Q), cameras (N,) and lengths (N,)."""
    parts = []
    for flag, rows in zip(flags, quality.T, strict=True):  # (N,)
        parts += [Part("quality", flag, rows), Part("quality", f"no {flag}", ~rows)]
    parts += [Part("camera", f"camera {camera}", camera_ids == camera) for camera in np.unique(camera_ids)]
    return parts + [Part("length", name, rows) for name, rows in length_parts(num_frames)]


def length_parts(num_frames: NDArray[np.int64]) -> Iterator[tuple[str, Bools]]:
    """Yield quarters of the tracklets by length (N,), each a name and its rows (N,).

    Equal lengths stay together, so that there may be fewer than four.
    """
    quartiles = np.quantile(num_frames, [0.25, 0.5, 0.75], method="inverted_cdf")  # (3,)
    quarter = np.searchsorted(quartiles, num_frames)  # (N,): a quartile itself belongs to the quarter below it
    for number in np.unique(quarter):
        rows = quarter == number  # (N,)
        low, high = num_frames[rows].min(), num_frames[rows].max()
        yield count_of(low, "frame") if low == high else f"{low} to {high} frames", rows
