"""Single outputs, calibration, thresholds and classes against scikit-learn, over known labels alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from tests.support.made_up_scores import (
    GROUPS,
    NUM_OUTPUTS,
    masked_matrices,
    mean_accuracy,
    random_known,
    random_labels,
)
from vpar_cache.metrics.inputs import check_inputs
from vpar_cache.metrics.outputs import calibration, confusion, details
from vpar_cache.metrics.scoring import THRESHOLD_GRID
from vpar_cache.metrics.vtf import VTF

RATES = np.array([0.4, 0.3, 0.3, 0.4, 0.6, 0.5, 0.5])


def details_of(probabilities, labels, known, rates=None):
    return details(*check_inputs(probabilities, labels, GROUPS, known=known), GROUPS, rates)


@settings(max_examples=40, deadline=None)
@given(masked_matrices())
def test_each_output_is_scored_as_scikit_learn_scores_its_positive_class_on_known_rows(data):
    probabilities, labels, known, _ = data
    predictions = (probabilities > 0.45).astype(int)
    for a, found in enumerate(details_of(probabilities, labels, known).outputs):
        rows = known[:, a]
        assert (found.positives, found.unknown) == (labels[rows, a].sum(), (~rows).sum())
        if rows.any():
            y, p = labels[rows, a], predictions[rows, a]
            sklearn = precision_recall_fscore_support(y, p, average="binary", zero_division=0)[:3]
            assert (found.precision, found.recall, found.f1) == pytest.approx(sklearn)
            assert found.mA == pytest.approx(mean_accuracy(p, y, rows[rows]))
            assert found.always_f1 == pytest.approx(f1_score(y, np.ones_like(y), zero_division=0))
        else:
            assert (found.precision, found.recall, found.f1, found.mA, found.always_f1) == (0, 0, 0, 0, 0)


@settings(max_examples=25, deadline=None)
@given(masked_matrices())
def test_what_is_unknown_has_no_part_in_any_detail(data):
    probabilities, labels, known, _ = data
    rng = np.random.default_rng(0)
    other = np.where(known, probabilities, rng.random(known.shape))
    anything = np.where(known, labels, rng.choice([0, 1, -1, np.nan], known.shape))
    assert details_of(other, anything, known, RATES) == details_of(probabilities, labels, known, RATES)


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


def expected_error(p, y):
    """The expected calibration error by its definition, of two arrays (n,)."""
    bins = np.clip(np.ceil(p * 10).astype(int) - 1, 0, 9)
    gaps = [abs(y[bins == b].mean() - p[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return sum(gaps) / len(p)


def test_calibration_errors_are_their_definition_over_known_labels_by_group_and_of_all():
    rng = np.random.default_rng(0)
    labels, known = random_labels(rng, 200), random_known(rng, 200)
    known[:, GROUPS[3][1]] = False
    p = np.clip(rng.random(labels.shape) ** 2 + 0.2 * labels, 0, 1)
    found = details_of(p, labels, known, RATES)
    rates = np.tile(RATES, (200, 1))
    for errors, values in ((found.calibration, p), (found.prior_calibration, rates)):
        expected = {"": expected_error(values[known], labels[known])}
        for name, columns in GROUPS[:3]:
            rows = known[:, columns.start]
            expected[name] = expected_error(values[rows, columns].reshape(-1), labels[rows, columns].reshape(-1))
        assert errors == pytest.approx(expected)
    frequency, mean = calibration_curve(labels[known], p[known], n_bins=10)
    filled = [one for one in found.bins if one.labels]
    assert len(found.bins) == 10
    assert [one.frequency for one in filled] == pytest.approx(frequency)
    assert [one.mean_probability for one in filled] == pytest.approx(mean)
    assert sum(one.labels for one in found.bins) == known.sum()
    assert details_of(p, labels, known).prior_calibration == {}


def test_the_curve_has_the_vtf_averages_at_each_threshold():
    rng = np.random.default_rng(1)
    labels, known = random_labels(rng, 30), random_known(rng, 30)
    probabilities = rng.random(labels.shape, dtype=np.float32)
    curve = details_of(probabilities, labels, known).threshold_curve
    assert (THRESHOLD_GRID[0], THRESHOLD_GRID[-1], len(THRESHOLD_GRID)) == (0.05, 0.95, 19)
    assert 0.45 in THRESHOLD_GRID
    for threshold, row in zip(THRESHOLD_GRID, curve, strict=True):
        average = VTF.score(probabilities, labels, GROUPS, threshold, known=known).average
        assert row == tuple(average[metric] for metric in ("precision", "recall", "f1"))
    assert (np.diff(np.array(curve)[:, 1]) <= 0).all()  # fewer positives never raise the recall


@pytest.mark.parametrize("seed", range(3))
def test_confusion_is_that_of_scikit_learn_with_every_class(seed):
    rng = np.random.default_rng(seed)
    labels = np.eye(5, dtype=bool)[rng.integers(0, 3, 40)]  # two classes never occur
    probabilities = rng.choice([0.1, 0.5, 0.9], labels.shape)  # ties go to the first
    rows = rng.random(40) < 0.7
    known = np.repeat(rows[:, None], 5, axis=1)
    expected = confusion_matrix(labels[rows].argmax(1), probabilities[rows].argmax(1), labels=range(5))
    assert confusion(probabilities, labels & known, known).tolist() == expected.tolist()


def test_confusions_are_of_the_groups_of_several_outputs():
    rng = np.random.default_rng(2)
    labels, known = random_labels(rng, 30), random_known(rng, 30)
    probabilities = rng.random((30, NUM_OUTPUTS))
    found = details_of(probabilities, labels, known).confusions
    assert list(found) == ["pose", "age"]
    assert np.array(found["pose"]).shape == (3, 3)
    assert np.sum(found["age"]) == known[:, 5].sum()
