"""Parts of the test tracklets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.errors import count_of
from vpar_cache.metrics.parts import length_parts, parts_of


def test_parts_are_with_and_without_each_flag_each_camera_and_each_length():
    quality = np.array([[True, False], [False, False], [True, False]])
    parts = parts_of(("occlusion", "cut-out"), quality, np.array([3, 1, 3]), np.array([8, 8, 8]))
    assert [(part.kind, part.name, part.rows.tolist()) for part in parts] == [
        ("quality", "occlusion", [True, False, True]),
        ("quality", "no occlusion", [False, True, False]),
        ("quality", "cut-out", [False, False, False]),
        ("quality", "no cut-out", [True, True, True]),
        ("camera", "camera 1", [False, True, False]),
        ("camera", "camera 3", [True, False, True]),
        ("length", "8 frames", [True, True, True]),
    ]


def test_a_quartile_belongs_to_the_quarter_below_it():
    names = [name for name, _ in length_parts(np.array([8, 7, 6, 5, 4, 3, 2, 1]))]
    assert names == ["1 to 2 frames", "3 to 4 frames", "5 to 6 frames", "7 to 8 frames"]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_quarters_by_length_are_disjoint_in_order_and_keep_equal_lengths_together(lengths):
    num_frames = np.array(lengths)
    parts = list(length_parts(num_frames))
    assert (sum(rows.astype(int) for _, rows in parts) == 1).all()
    assert 1 <= len(parts) <= 4
    ends = [(num_frames[rows].min(), num_frames[rows].max()) for _, rows in parts]
    assert all(first[1] < second[0] for first, second in pairwise(ends))
    for (name, _), (low, high) in zip(parts, ends, strict=True):
        assert name == (count_of(low, "frame") if low == high else f"{low} to {high} frames")
