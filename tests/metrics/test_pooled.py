"""pooled against its definition by brute force, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import precision_recall_fscore_support

from tests.support.made_up_scores import GROUPS, known_rows, masked_matrices, mean_accuracy, set_scores
from vpar_cache.metrics.pooled import POOLED

METRICS = ("precision", "recall", "f1", "mA")


@settings(max_examples=80, deadline=None)
@given(masked_matrices())
def test_it_is_its_definition_and_agrees_with_scikit_learn_on_the_known_rows_of_each_group(data):
    probabilities, labels, known, threshold = data
    scores = POOLED.score(probabilities, labels, GROUPS, threshold, known=known)
    means = []
    for name, columns in GROUPS:
        rows = known_rows(known, columns)
        if not len(rows):
            assert name not in scores.groups
            continue
        p, y = (probabilities[rows, columns] > threshold).astype(int), labels[rows, columns]
        # With one output scikit-learn's "micro" would pool both classes.
        average = "micro" if y.shape[1] > 1 else "binary"
        sklearn = precision_recall_fscore_support(y, p, average=average, zero_division=0)[:3]
        accuracy = np.mean([mean_accuracy(a, b, b < 2) for a, b in zip(p.T, y.T, strict=True)])
        found = [scores.groups[name][metric] for metric in METRICS]
        cells = (set(np.flatnonzero(x)) for x in (p, y))  # a set of (tracklet, output)
        assert found[:3] == pytest.approx(set_scores(*cells)), name
        assert found == pytest.approx([*sklearn, accuracy]), name
        means.append(found)
    assert [scores.average[metric] for metric in METRICS] == pytest.approx(np.mean(means, axis=0))
