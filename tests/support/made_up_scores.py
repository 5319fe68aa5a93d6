"""Probabilities and labels of a small made-up schema, for the tests of metrics."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

GROUPS = [("hat", slice(0, 1)), ("pose", slice(1, 4)), ("gender", slice(4, 5)), ("age", slice(5, 7))]
NUM_OUTPUTS = 7


def random_labels(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 7) with one class in each group of several outputs."""
    labels = np.zeros((n, NUM_OUTPUTS), np.uint8)
    for _, columns in GROUPS:
        size = columns.stop - columns.start
        if size == 1:
            labels[:, columns.start] = rng.random(n) < 0.4
        else:
            labels[np.arange(n), columns.start + rng.integers(0, size, n)] = 1
    return labels


@st.composite
def matrices(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    """Probabilities (n, 7), labels (n, 7) and a threshold. Coarse, so that ties with the threshold, empty rows and
    empty columns all occur."""
    n = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    probabilities = rng.choice([0.0, 0.25, 0.45, 0.5, 0.75, 1.0], size=(n, NUM_OUTPUTS))
    if draw(st.booleans()):
        probabilities[:, draw(st.integers(0, NUM_OUTPUTS - 1))] = 0
    return probabilities, random_labels(rng, n), draw(st.sampled_from([0.0, 0.25, 0.45, 0.5, 1.0]))
