"""What holds for every protocol, with all labels known and without."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.support.made_up_scores import (
    GROUPS,
    NUM_OUTPUTS,
    harmonic_mean,
    masked_matrices,
    random_known,
    random_labels,
)
from vpar_cache.errors import DataError, UserError
from vpar_cache.metrics.inputs import check_inputs
from vpar_cache.metrics.protocol import total
from vpar_cache.metrics.scoring import PROTOCOLS

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS.keys())


@settings(max_examples=40, deadline=None)
@given(masked_matrices())
def test_scores_are_fractions_and_do_not_depend_on_tracklet_order(data):
    probabilities, labels, known, threshold = data
    order = np.random.default_rng(0).permutation(len(labels))
    for protocol in PROTOCOLS.values():
        scores = protocol.score(probabilities, labels, GROUPS, threshold, known=known)
        again = protocol.score(probabilities[order], labels[order], GROUPS, threshold, known=known[order])
        assert scores.average == pytest.approx(again.average)
        assert list(scores.groups) == list(again.groups)
        for metrics in (scores.average, *scores.groups.values()):
            assert all(0 <= value <= 1 for value in metrics.values())


@settings(max_examples=40, deadline=None)
@given(masked_matrices())
def test_perfect_predictions_are_perfect_where_every_class_occurs(data):
    _, labels, known, _ = data
    for name, protocol in PROTOCOLS.items():
        scores = protocol.score(labels.astype(float), labels, GROUPS, known=known)
        for group, columns in GROUPS:
            seen = labels[known[:, columns.start], columns]
            if seen.any(axis=0).all() and not seen.all():
                assert protocol.joint or scores.groups[group]["f1"] == 1, name


@settings(max_examples=40, deadline=None)
@given(masked_matrices())
def test_what_is_unknown_has_no_influence(data):
    probabilities, labels, known, threshold = data
    rng = np.random.default_rng(0)
    other = np.where(known, probabilities, rng.random(known.shape))
    anything = np.where(known, labels, rng.choice([0, 1, -1, 255, np.nan], known.shape))
    for protocol in PROTOCOLS.values():
        scores = protocol.score(probabilities, labels, GROUPS, threshold, known=known)
        assert protocol.score(other, anything, GROUPS, threshold, known=known) == scores


@each_protocol
def test_a_tracklet_without_a_known_label_is_as_if_it_were_absent(protocol):
    rng = np.random.default_rng(3)
    probabilities, labels, known = rng.random((30, NUM_OUTPUTS)), random_labels(rng, 30), random_known(rng, 30)
    known[::3] = False
    rest = np.arange(30) % 3 > 0
    found = protocol.score(probabilities, labels, GROUPS, known=known)
    expected = protocol.score(probabilities[rest], labels[rest], GROUPS, known=known[rest])
    assert found.average == pytest.approx(expected.average)


@each_protocol
def test_a_group_without_a_known_label_is_as_if_the_schema_had_no_such_group(protocol):
    rng = np.random.default_rng(4)
    probabilities, labels = rng.random((30, NUM_OUTPUTS)), random_labels(rng, 30)
    known = np.ones(labels.shape, bool)
    known[:, GROUPS[-1][1]] = False
    found = protocol.score(probabilities, labels, GROUPS, known=known)
    expected = protocol.score(probabilities[:, :5], labels[:, :5], GROUPS[:-1])
    assert found.average == pytest.approx(expected.average)
    assert list(found.groups) == list(expected.groups)


@each_protocol
def test_all_known_is_the_same_as_no_mask(protocol):
    rng = np.random.default_rng(5)
    probabilities, labels = rng.random((30, NUM_OUTPUTS)), random_labels(rng, 30)
    everything = np.ones(labels.shape, bool)
    assert protocol.score(probabilities, labels, GROUPS) == protocol.score(
        probabilities, labels, GROUPS, known=everything
    )


@each_protocol
def test_scores_are_a_function_of_the_summed_terms_for_any_leading_axes(protocol):
    rng = np.random.default_rng(7)
    p, y, known = check_inputs(
        rng.random((30, NUM_OUTPUTS)), random_labels(rng, 30), GROUPS, known=random_known(rng, 30)
    )
    weights = rng.integers(0, 3, (4, 30)).astype(float)  # how often each tracklet counts
    weights[3] *= ~known[:, 0]  # hat is unknown
    terms = protocol.terms(protocol.answers(p, GROUPS, protocol.threshold), y, known, GROUPS)
    by_unit, average = protocol.metrics_of_sums({k: weights @ values for k, values in terms.items()}, GROUPS)
    for i, row in enumerate(weights.astype(int)):
        expected = protocol.score(
            *(x.repeat(row, axis=0) for x in (p, y)), GROUPS, known=known.repeat(row, axis=0)
        )
        assert {metric: values[i] for metric, values in average.items()} == pytest.approx(expected.average)
        for group, metrics in expected.groups.items():
            assert {m: values[i] for m, values in by_unit[group].items()} == pytest.approx(metrics)
    if not protocol.joint:
        assert all(np.isnan(by_unit["hat"]["f1"]) == [False, False, False, True])
    assert protocol.scores_of_sums(total(terms), GROUPS, protocol.threshold) == protocol.score(
        p, y, GROUPS, known=known
    )


@settings(max_examples=40, deadline=None)
@given(masked_matrices())
def test_f1_of_means_is_the_harmonic_mean_of_the_two_beside_it_and_never_below_f1(data):
    probabilities, labels, known, threshold = data
    for name in ("vtf", "pooled", "instance"):
        scores = PROTOCOLS[name].score(probabilities, labels, GROUPS, threshold, known=known)
        for metrics in (*scores.groups.values(), scores.average):
            assert metrics["f1_of_means"] == pytest.approx(harmonic_mean(metrics["precision"], metrics["recall"]))
            assert metrics["f1_of_means"] >= metrics["f1"] - 1e-12


@each_protocol
@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(protocol, threshold):
    with pytest.raises(UserError, match=rf"threshold {threshold} must lie in 0 to 1"):
        protocol.score([[0.5]], [[1]], [("hat", slice(0, 1))], threshold)


@each_protocol
def test_a_group_that_is_known_in_part_is_refused(protocol):
    labels = random_labels(np.random.default_rng(8), 5)
    known = np.ones(labels.shape, bool)
    known[2, 3] = False
    with pytest.raises(DataError, match=r"row 2, output 1 \(pose\)"):
        protocol.score(np.full(labels.shape, 0.5), labels, GROUPS, known=known)


@each_protocol
def test_scores_without_any_known_label_are_refused(protocol):
    with pytest.raises(DataError, match="none of the labels of 1 "):
        protocol.score([[0.5]], [[1]], [("hat", slice(0, 1))], known=[[False]])
