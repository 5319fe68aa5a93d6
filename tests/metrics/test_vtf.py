"""vtf against its definition by brute force, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import precision_recall_fscore_support

from tests.support.made_up_scores import GROUPS, known_rows, masked_matrices, mean_accuracy, set_scores
from vpar_cache.metrics.vtf import VTF

P_R_F1 = ("precision", "recall", "f1")


def brute_force(probabilities, labels, threshold):
    """The definition, tracklet by tracklet: P, R, F1 of one group (n, K)."""
    predicted, true = ([set(np.flatnonzero(row)) for row in rows] for rows in (probabilities > threshold, labels))
    if labels.shape[1] > 1:
        return np.mean([set_scores(*pair) for pair in zip(predicted, true, strict=True)], axis=0)
    return set_scores(*({row for row, held in enumerate(rows) if held} for rows in (predicted, true)))


@settings(max_examples=80, deadline=None)
@given(masked_matrices())
def test_it_is_its_definition_and_agrees_with_scikit_learn_on_the_known_rows_of_each_group(data):
    probabilities, labels, known, threshold = data
    scores = VTF.score(probabilities, labels, GROUPS, threshold, known=known)
    means = []
    for name, columns in GROUPS:
        rows = known_rows(known, columns)
        if not len(rows):
            assert name not in scores.groups
            continue
        p, y = probabilities[rows, columns], labels[rows, columns]
        single = y.shape[1] == 1
        pair = (x[:, 0] if single else x for x in (y, (p > threshold).astype(int)))
        average = "binary" if single else "samples"
        sklearn = precision_recall_fscore_support(*pair, average=average, zero_division=0)[:3]
        found = scores.groups[name]
        assert [found[metric] for metric in P_R_F1] == pytest.approx(brute_force(p, y, threshold)), name
        assert [found[metric] for metric in P_R_F1] == pytest.approx(sklearn), name
        accuracies = [mean_accuracy(a > threshold, b == 1, b < 2) for a, b in zip(p.T, y.T, strict=True)]
        assert found["mA"] == pytest.approx(np.mean(accuracies)), name
        means.append([*sklearn, np.mean(accuracies)])
    assert [scores.average[metric] for metric in (*P_R_F1, "mA")] == pytest.approx(np.mean(means, axis=0))


def test_a_tracklet_may_have_several_true_classes_or_none():
    labels = np.array([[0, 1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 1, 1, 1]])
    probabilities = np.array([[0.9, 0.9, 0.9, 0.9, 0.1, 0.9, 0.1], [0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1]])
    scores = VTF.score(probabilities, labels, GROUPS, 0.5)
    assert scores.groups["pose"]["f1"] == pytest.approx(0.4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_probability_equal_to_the_threshold_is_not_above_it(dtype):
    # 0.3 in float32 is above 0.3 in float64: the comparison must be made in the dtype of the probabilities.
    for threshold in (0.3, 0.45, 0.7):
        p = np.array([[threshold]], dtype)
        above = np.nextafter(p, dtype(1))
        assert VTF.score(p, [[1]], [("hat", slice(0, 1))], threshold).average["f1"] == 0
        assert VTF.score(above, [[1]], [("hat", slice(0, 1))], threshold).average["f1"] == 1
