"""instance against its definition by brute force, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import jaccard_score, precision_recall_fscore_support

from tests.support.made_up_scores import GROUPS, NUM_OUTPUTS, masked_matrices, mean_accuracy, set_scores
from vpar_cache.metrics.instance import INSTANCE

METRICS = ("accuracy", "precision", "recall", "f1")


def brute_force(predicted, true):
    """Of two sets of outputs."""
    either = len(predicted | true)
    return (len(predicted & true) / either if either else 0.0, *set_scores(predicted, true))


@settings(max_examples=80, deadline=None)
@given(masked_matrices())
def test_it_is_its_definition_and_agrees_with_scikit_learn_on_the_known_outputs(data):
    probabilities, labels, known, threshold = data
    scores = INSTANCE.score(probabilities, labels, GROUPS, threshold, known=known)
    counts = known.any(axis=1)
    p, y = ((x & known)[counts].astype(int) for x in (probabilities > threshold, labels == 1))
    sklearn = [
        jaccard_score(y, p, average="samples", zero_division=0),
        *precision_recall_fscore_support(y, p, average="samples", zero_division=0)[:3],
    ]
    by_hand = [brute_force(*(set(np.flatnonzero(row)) for row in pair)) for pair in zip(p, y, strict=True)]
    found = [scores.average[metric] for metric in METRICS]
    assert found == pytest.approx(sklearn)
    assert found == pytest.approx(np.mean(by_hand, axis=0))
    accuracies = [
        mean_accuracy(probabilities[:, a] > threshold, labels[:, a] == 1, known[:, a])
        for a in range(NUM_OUTPUTS)
        if known[:, a].any()
    ]
    assert scores.average["mA"] == pytest.approx(np.mean(accuracies))
    assert scores.groups == {}
