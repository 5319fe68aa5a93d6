"""Which frames are chosen, and how views differ."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.datasets.frame_choice import MAX_SHIFT, choose_frames, choose_jitter


@pytest.mark.parametrize("count", [1, 2, 5, 6, 12])
def test_uniform_frames_are_the_middles_of_equal_parts(count: int) -> None:
    for n in range(1, 60):
        wanted = tuple(floor((i + Fraction(1, 2)) * n / count) for i in range(count))
        assert choose_frames(n, count, "uniform") == wanted
        assert all(0 <= number < n for number in wanted)


def test_a_short_tracklet_repeats_frames() -> None:
    assert choose_frames(1, 3, "uniform") == (0, 0, 0)
    assert choose_frames(2, 4, "uniform") == (0, 0, 1, 1)
    assert choose_frames(1, 3, "random", tracklet_id="a") == (0, 0, 0)


@given(n=st.integers(1, 50), count=st.integers(1, 12), seed=st.integers(0, 9), view=st.integers(0, 4))
def test_random_frames_are_in_time_order_and_without_repetition_where_there_are_enough(
    n: int, count: int, seed: int, view: int
) -> None:
    chosen = choose_frames(n, count, "random", seed, "0001C1T0001", view)
    assert len(chosen) == count
    assert list(chosen) == sorted(chosen)
    assert set(chosen) <= set(range(n))
    if n >= count:
        assert len(set(chosen)) == count
    assert chosen == choose_frames(n, count, "random", seed, "0001C1T0001", view)


def test_a_random_draw_depends_on_seed_tracklet_and_view() -> None:
    plain = choose_frames(1000, 6, "random", 0, "a", 0)
    others = [
        choose_frames(1000, 6, "random", 1, "a", 0),
        choose_frames(1000, 6, "random", 0, "b", 0),
        choose_frames(1000, 6, "random", 0, "a", 1),
    ]
    assert len({plain, *others}) == 4
    np.random.default_rng().random(9)
    assert choose_frames(1000, 6, "random", 0, "a", 0) == plain, "no hidden state"


def test_jitters_are_seeded_and_use_the_whole_range() -> None:
    drawn = [choose_jitter(0, f"tracklet {n}", 1) for n in range(2000)]
    assert choose_jitter(0, "tracklet 5", 1) == drawn[5]
    assert choose_jitter(1, "tracklet 5", 1) != drawn[5] or choose_jitter(0, "tracklet 5", 2) != drawn[5]
    for shifts in ({j.shift_right for j in drawn}, {j.shift_down for j in drawn}):
        assert shifts == set(range(-MAX_SHIFT, MAX_SHIFT + 1))
    assert 900 < sum(j.flip for j in drawn) < 1100
