"""vtf against its definition by brute force, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import precision_recall_fscore_support

from tests.support.made_up_scores import GROUPS, NUM_OUTPUTS, matrices, random_labels
from vpar_cache.metrics.outputs import output_scores
from vpar_cache.metrics.vtf import VTF

P_R_F1 = ("precision", "recall", "f1")


def brute_force(probabilities, labels, threshold):
    """The definition, tracklet by tracklet: P, R, F1 of each group."""

    def triple(predicted, true):
        hits = len(predicted & true)
        p = hits / len(predicted) if predicted else 0.0
        r = hits / len(true) if true else 0.0
        return p, r, 2 * p * r / (p + r) if p + r else 0.0

    scores = {}
    for name, columns in GROUPS:
        p, y = probabilities[:, columns], labels[:, columns]
        if p.shape[1] == 1:
            scores[name] = triple(set(np.flatnonzero(p[:, 0] > threshold)), set(np.flatnonzero(y[:, 0])))
        else:
            sets = (
                (set(np.flatnonzero(a > threshold)), set(np.flatnonzero(b))) for a, b in zip(p, y, strict=True)
            )
            scores[name] = tuple(np.mean([triple(*pair) for pair in sets], axis=0))
    return scores


@settings(max_examples=150, deadline=None)
@given(matrices())
def test_it_is_its_definition_and_agrees_with_scikit_learn(data):
    probabilities, labels, threshold = data
    predictions = (probabilities > threshold).astype(int)
    scores = VTF.score(probabilities, labels, GROUPS, threshold)
    definition = brute_force(probabilities, labels, threshold)
    for name, columns in GROUPS:
        single = columns.stop - columns.start == 1
        y, p = (x[:, columns.start] if single else x[:, columns] for x in (labels, predictions))
        average = "binary" if single else "samples"
        sklearn = precision_recall_fscore_support(y, p, average=average, zero_division=0)[:3]
        found = [scores.groups[name][metric] for metric in P_R_F1]
        assert found == pytest.approx(definition[name]), name
        assert found == pytest.approx(sklearn), name
    means = np.mean(list(definition.values()), axis=0)
    assert [scores.average[metric] for metric in P_R_F1] == pytest.approx(means)


def test_a_tracklet_may_have_several_true_classes_or_none():
    labels = np.array([[0, 1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 1, 1, 1]])
    probabilities = np.array([[0.9, 0.9, 0.9, 0.9, 0.1, 0.9, 0.1], [0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1]])
    scores = VTF.score(probabilities, labels, GROUPS, 0.5)
    assert scores.groups["pose"]["f1"] == pytest.approx(0.4)


@settings(max_examples=60, deadline=None)
@given(matrices())
def test_f1_of_means_is_the_harmonic_mean_of_the_two_beside_it_and_never_below_f1(data):
    scores = VTF.score(*data[:2], GROUPS, data[2])
    for metrics in (*scores.groups.values(), scores.average):
        p, r = metrics["precision"], metrics["recall"]
        assert metrics["f1_of_means"] == pytest.approx(2 * p * r / (p + r) if p + r else 0)
        assert metrics["f1_of_means"] >= metrics["f1"] - 1e-12


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_probability_equal_to_the_threshold_is_not_above_it(dtype):
    # 0.3 in float32 is above 0.3 in float64: the comparison must be made in the dtype of the probabilities.
    for threshold in (0.3, 0.45, 0.7):
        p = np.array([[threshold]], dtype)
        above = np.nextafter(p, dtype(1))
        assert VTF.score(p, [[1]], [("hat", slice(0, 1))], threshold).average["f1"] == 0
        assert VTF.score(above, [[1]], [("hat", slice(0, 1))], threshold).average["f1"] == 1


def test_mean_accuracy_of_a_group_is_the_mean_over_its_outputs():
    rng = np.random.default_rng(4)
    probabilities, labels = rng.random((30, NUM_OUTPUTS)), random_labels(rng, 30)
    outputs = output_scores(probabilities, labels, GROUPS, 0.45)["mA"]
    scores = VTF.score(probabilities, labels, GROUPS)
    assert scores.groups["pose"]["mA"] == pytest.approx(outputs[1:4].mean())
    assert scores.average["mA"] == pytest.approx(np.mean([outputs[s].mean() for _, s in GROUPS]))
