"""Probabilities, labels and masks of a small made-up schema, for the tests of metrics."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

GROUPS = [("hat", slice(0, 1)), ("pose", slice(1, 4)), ("gender", slice(4, 5)), ("age", slice(5, 7))]
NUM_OUTPUTS = 7
Masked = tuple[np.ndarray, np.ndarray, np.ndarray, float]
"""Probabilities, labels, known (n, 7) each, and a threshold."""


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


def random_known(rng: np.random.Generator, n: int, share: float = 0.7) -> np.ndarray:
    """(n, 7): whole groups are known or unknown, and at least one label is known."""
    known = np.zeros((n, NUM_OUTPUTS), bool)
    for _, columns in GROUPS:
        known[:, columns] = (rng.random(n) < share)[:, None]
    if not known.any():
        known[0, GROUPS[1][1]] = True
    return known


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


@st.composite
def masked_matrices(draw: st.DrawFn) -> Masked:
    """The same with a mask: all known, some unknown, nearly all unknown, or a group without any known label."""
    probabilities, labels, threshold = draw(matrices())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    known = random_known(rng, len(labels), draw(st.sampled_from([1.0, 0.7, 0.2])))
    if draw(st.booleans()):
        known[:, GROUPS[draw(st.integers(0, 3))][1]] = False
        known[0, GROUPS[1][1]] |= not known.any()
    return probabilities, labels, known, threshold


def known_rows(known: np.ndarray, columns: slice) -> np.ndarray:
    """The rows where a group is known."""
    return np.flatnonzero(known[:, columns].all(axis=1))


def mean_accuracy(predictions: np.ndarray, labels: np.ndarray, known: np.ndarray) -> float:
    """mA of one output (n,) over its known rows: scikit-learn's balanced accuracy where both labels occur,
    else half the share of right answers."""
    y, p = labels[known], predictions[known]
    return float(balanced_accuracy_score(y, p) if len(np.unique(y)) == 2 else (y == p).mean() / 2)


def harmonic_mean(precision: float, recall: float) -> float:
    """0 of two zeros."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def set_scores(predicted: set[int], true: set[int]) -> tuple[float, float, float]:
    """Precision, recall and F1 of two sets; an empty denominator scores 0."""
    hits = len(predicted & true)
    p = hits / len(predicted) if predicted else 0.0
    r = hits / len(true) if true else 0.0
    return p, r, harmonic_mean(p, r)
