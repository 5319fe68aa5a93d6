"""Of a track the best frames are kept, spread over its time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.prediction.tracks import Crop
from vpar_cache.prediction.video.best_frames import BestFrames, covered, cut_out, quality

PICTURE = np.zeros((2, 2, 3), np.uint8)


def kept(qualities: list[float], wanted: int) -> list[int]:
    best = BestFrames(wanted)
    for number, value in enumerate(qualities):
        best.add(Crop(PICTURE, number), value)
    return [crop.frame or 0 for crop in best.crops()]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.integers(1, 8))
def test_at_most_t_frames_come_in_order_with_the_best_of_all_among_them(values: list[float], wanted: int) -> None:
    found = kept(values, wanted)
    assert len(found) == min(wanted, len(found)) <= wanted
    assert found == sorted(set(found))
    assert max(values[number] for number in found) == max(values)
    if len(values) <= wanted:
        assert found == list(range(len(values)))


@pytest.mark.parametrize("length", [12, 100, 1000, 5000])
def test_they_are_spread_over_the_track(length: int) -> None:
    found = np.array(kept([1.0] * length, 6))
    assert len(found) == 6
    gaps = np.diff([-1, *found, length])
    assert gaps.max() <= length / 2.5


def test_a_sharp_uncovered_large_crop_is_better() -> None:
    rng, box, nobody = np.random.default_rng(0), np.array([0.0, 0, 40, 80]), np.empty((0, 4))
    sharp = rng.integers(0, 255, (80, 40, 3), np.uint8)
    flat = np.full((80, 40, 3), 100, np.uint8)
    assert quality(sharp, box, nobody, 1.0) > quality(flat, box, nobody, 1.0)
    assert quality(sharp, box, nobody, 1.0) > quality(sharp, box, np.array([[10.0, 10, 40, 80]]), 1.0)
    assert quality(sharp, box, nobody, 1.0) > quality(sharp, box / 2, nobody, 1.0)
    assert quality(sharp, box, nobody, 1.0) > quality(sharp, box, nobody, 0.5)


def test_only_who_is_in_front_covers() -> None:
    box = np.array([0.0, 0, 10, 10])
    assert covered(box, np.array([[5.0, 1, 10, 10]])) == pytest.approx(0.45)
    assert covered(box, np.array([[5.0, -1, 10, 10]])) == 0


def test_a_crop_is_cut_at_the_picture_and_large_ones_are_shrunk() -> None:
    picture = np.arange(100 * 50 * 3, dtype=np.uint8).reshape(100, 50, 3)
    crop = cut_out(picture, np.array([-5.0, 90, 20, 40]))
    assert crop is not None
    np.testing.assert_array_equal(crop, picture[90:, :15])
    assert crop.base is None, "a view would keep the whole frame"
    assert cut_out(picture, np.array([60.0, 0, 5, 5])) is None
    large = cut_out(np.zeros((2000, 1000, 3), np.uint8), np.array([0.0, 0, 1000, 2000]))
    assert large is not None
    assert large.shape == (448, 224, 3)
