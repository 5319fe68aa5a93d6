"""One threshold for each output against scikit-learn, threshold by threshold."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from vpar_cache.metrics.scoring import THRESHOLD_GRID
from vpar_cache.metrics.thresholds import output_thresholds


def best_one_by_one(
    probabilities: np.ndarray, labels: np.ndarray, known: np.ndarray, fallback: float
) -> list[float]:
    """The definition: for each output every threshold of the grid, on the rows that are known."""
    found = []
    for i in range(labels.shape[1]):
        truth, given = labels[known[:, i], i], probabilities[known[:, i], i]
        if len(set(truth.tolist())) < 2:
            found.append(fallback)
            continue
        scores = {
            threshold: f1_score(truth, given > np.float32(threshold), zero_division=0)
            for threshold in THRESHOLD_GRID
        }
        equals = [threshold for threshold, score in scores.items() if np.isclose(score, max(scores.values()))]
        found.append(min(equals, key=lambda threshold: (round(abs(threshold - fallback), 9), threshold)))
    return found


@pytest.mark.parametrize("fallback", [0.45, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_each_output_gets_its_best_threshold_of_the_grid(seed: int, fallback: float) -> None:
    random = np.random.default_rng(seed)
    labels = (random.random((30, 12)) < np.linspace(0, 1, 12)).astype(np.uint8)  # the first all 0, the last all 1
    coarse = np.round(20 * (0.6 * random.random((30, 12)) + 0.4 * labels * random.random((30, 12)))) / 20
    probabilities, known = coarse.astype(np.float32), random.random((30, 12)) > 0.3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = output_thresholds(probabilities, labels, known, fallback)
    np.testing.assert_allclose(found, best_one_by_one(probabilities, labels, known, fallback))
    assert found[0] == found[-1] == fallback


def test_unknown_labels_choose_nothing() -> None:
    probabilities = np.array([[0.9], [0.2], [0.6], [0.3]], np.float32)
    labels, known = np.array([[1], [1], [0], [0]], np.uint8), np.array([[1], [0], [1], [1]], np.bool_)
    found = output_thresholds(probabilities, labels, known, 0.45)
    assert found.tolist() == [0.6]  # 0.6 is not above 0.6
    assert output_thresholds(probabilities, 1 - labels, known, 0.45).tolist() == [0.25]
    nothing = np.zeros_like(known)
    assert output_thresholds(probabilities, labels, nothing, 0.3).tolist() == [0.3]
