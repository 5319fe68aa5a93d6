"""videopar against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import accuracy_score, f1_score

from tests.support.made_up_scores import GROUPS, known_rows, masked_matrices
from vpar_cache.errors import DataError
from vpar_cache.metrics.videopar import VIDEOPAR
from vpar_cache.metrics.vtf import VTF


@settings(max_examples=80, deadline=None)
@given(masked_matrices())
def test_it_agrees_with_scikit_learn_on_the_known_rows_of_each_group(data):
    probabilities, labels, known, _ = data
    scores = VIDEOPAR.score(probabilities, labels, GROUPS, known=known)
    means = []
    for name, columns in GROUPS:
        rows = known_rows(known, columns)
        if not len(rows):
            assert name not in scores.groups
            continue
        p, y = probabilities[rows, columns], labels[rows, columns]
        single = p.shape[1] == 1
        predicted = (p[:, 0] > 0.5).astype(int) if single else p.argmax(axis=1)
        actual = y[:, 0] if single else y.argmax(axis=1)
        classes = [0, 1] if single else range(p.shape[1])
        macro = f1_score(actual, predicted, labels=classes, average="macro", zero_division=0)
        accuracy = accuracy_score(actual, predicted)
        assert scores.groups[name] == {"f1": pytest.approx(macro), "accuracy": pytest.approx(accuracy)}, name
        means.append([macro, accuracy])
    assert [scores.average[m] for m in ("f1", "accuracy")] == pytest.approx(np.mean(means, axis=0))


def test_an_absent_class_scores_zero():
    labels = np.array([[1, 0, 0], [0, 1, 0]])
    scores = VIDEOPAR.score(labels.astype(float), labels, [("pose", slice(0, 3))])
    assert scores.groups["pose"] == {"f1": pytest.approx(2 / 3), "accuracy": 1.0}


def test_the_first_of_equally_probable_classes_is_predicted():
    labels = np.array([[0, 1, 0]])
    assert VIDEOPAR.score(np.full((1, 3), 0.5), labels, [("pose", slice(0, 3))]).average["accuracy"] == 0
    assert VIDEOPAR.score([[0.5]], [[0]], [("hat", slice(0, 1))]).average["accuracy"] == 1


@pytest.mark.parametrize("count", [0, 2])
def test_a_group_without_exactly_one_class_is_refused_unless_it_is_unknown(count):
    labels = np.array([[1, 1, 0, 0, 1, 1, 0], [0, 0, 1, 0, 1, 0, 1]])
    labels[0, [1, 3]] = count // 2
    probabilities = np.full(labels.shape, 0.5)
    with pytest.raises(DataError, match=rf"row 0, output 1 \(pose\): {count} labels .* exactly one class"):
        VIDEOPAR.score(probabilities, labels, GROUPS)
    VTF.score(probabilities, labels, GROUPS)
    known = np.ones(labels.shape, bool)
    known[0, 1:4] = False
    VIDEOPAR.score(probabilities, labels, GROUPS, known=known)
