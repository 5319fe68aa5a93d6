"""Single outputs, calibration, thresholds and classes against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.calibration import calibration_curve
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_recall_fscore_support

from tests.support.made_up_scores import GROUPS, matrices, random_labels
from vpar_cache.errors import DataError, UserError
from vpar_cache.metrics.outputs import calibration, confusion, output_scores, threshold_curve
from vpar_cache.metrics.scoring import THRESHOLD_GRID
from vpar_cache.metrics.vtf import VTF


@settings(max_examples=100, deadline=None)
@given(matrices())
def test_each_output_is_scored_as_scikit_learn_scores_its_positive_class(data):
    probabilities, labels, threshold = data
    scores = output_scores(probabilities, labels, GROUPS, threshold)
    predictions = (probabilities > threshold).astype(int)
    expected = precision_recall_fscore_support(labels, predictions, average=None, zero_division=0)
    for metric, values in zip(("precision", "recall", "f1"), expected[:3], strict=True):
        assert scores[metric] == pytest.approx(values), metric
    for a in range(labels.shape[1]):
        if 0 < labels[:, a].sum() < len(labels):
            assert scores["mA"][a] == pytest.approx(balanced_accuracy_score(labels[:, a], predictions[:, a]))


def test_arrays_and_thresholds_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="must lie in 0 to 1"):
        output_scores([[2.0]], [[1]], [("hat", slice(0, 1))], 0.5)
    with pytest.raises(UserError, match="must lie in 0 to 1"):
        output_scores([[0.5]], [[1]], [("hat", slice(0, 1))], 1.5)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bins_are_those_of_scikit_learn(seed, dtype):
    rng = np.random.default_rng(seed)
    p = rng.random((50, 4)).astype(dtype)
    p[:11, 0] = np.linspace(0, 1, 11)  # edges of bins, 0 and 1 among them
    p[(p > 0.4) & (p < 0.5)] = 0.1 * seed  # an empty bin
    y = rng.random(p.shape) < p
    frequency, mean = calibration_curve(y.reshape(-1), p.reshape(-1).astype(np.float64), n_bins=10)
    found = calibration(p, y)
    filled = found.count > 0
    assert found.frequency[filled] == pytest.approx(frequency)
    assert found.mean_probability[filled] == pytest.approx(mean)
    assert not found.frequency[~filled].any()
    assert found.count.sum() == p.size


def test_the_calibration_error_is_its_definition():
    rng = np.random.default_rng(0)
    p = rng.random(500)
    y = rng.random(500) < p**2
    bins = np.clip(np.ceil(p * 10).astype(int) - 1, 0, 9)
    gaps = [abs(y[bins == b].mean() - p[bins == b].mean()) * (bins == b).sum() for b in range(10)]
    assert calibration(p, y).error == pytest.approx(sum(gaps) / 500)


def test_an_output_without_a_positive_tracklet_has_a_true_positive_rate_of_zero():
    for value in (0, 1):
        scores = output_scores(np.full((3, 1), value), np.full((3, 1), value), [("hat", slice(0, 1))], 0.5)
        assert scores["mA"] == pytest.approx([0.5])


def test_the_curve_has_the_vtf_averages_at_each_threshold():
    rng = np.random.default_rng(1)
    labels = random_labels(rng, 30)
    probabilities = rng.random(labels.shape, dtype=np.float32)
    curve = threshold_curve(probabilities, labels, GROUPS)
    assert (THRESHOLD_GRID[0], THRESHOLD_GRID[-1], len(THRESHOLD_GRID)) == (0.05, 0.95, 19)
    assert 0.45 in THRESHOLD_GRID
    for threshold, row in zip(THRESHOLD_GRID, curve, strict=True):
        average = VTF.score(probabilities, labels, GROUPS, threshold).average
        assert row.tolist() == [average[metric] for metric in ("precision", "recall", "f1")]
    assert (np.diff(curve[:, 1]) <= 0).all()  # fewer positives never raise the recall


@pytest.mark.parametrize("seed", range(3))
def test_confusion_is_that_of_scikit_learn_with_every_class(seed):
    rng = np.random.default_rng(seed)
    labels = np.eye(5, dtype=bool)[rng.integers(0, 3, 40)]  # two classes never occur
    probabilities = rng.choice([0.1, 0.5, 0.9], labels.shape)  # ties go to the first
    expected = confusion_matrix(labels.argmax(1), probabilities.argmax(1), labels=range(5))
    assert confusion(probabilities, labels).tolist() == expected.tolist()
