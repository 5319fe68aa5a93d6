"""Shuffled predictions: who gives to whom, and scores against scoring each shuffle by itself."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.made_up_scores import GROUPS, NUM_OUTPUTS, random_known, random_labels
from vpar_cache.metrics.inputs import check_inputs
from vpar_cache.metrics.scoring import PROTOCOLS
from vpar_cache.metrics.shuffled import SHUFFLES, ShuffledSums, chance, shuffled_rows

PEOPLE = np.array([7, 7, 7, -1, 900, 900, 3, 3, 3, 3, 3, 12, 12, 900, 7, 12, 12, 4, 4, 900])
"""Of any value, in any order, with 1 to 5 tracklets each."""
N = len(PEOPLE)


def test_every_person_gets_the_predictions_of_exactly_one_other_person():
    shuffles = list(shuffled_rows(PEOPLE, N))
    assert len(shuffles) == SHUFFLES == 200
    for giver in shuffles:
        pairs = set(zip(PEOPLE.tolist(), PEOPLE[giver].tolist(), strict=True))
        assert len(pairs) == 6  # one giver for each person
        assert {giver for _, giver in pairs} == set(PEOPLE.tolist())  # and each gives once
        assert all(one != other for one, other in pairs)


def test_the_tracklets_of_the_giver_are_drawn_evenly_and_with_replacement():
    shuffles = np.stack(list(shuffled_rows(PEOPLE, N)))  # (R, N)
    assert (np.bincount(shuffles.reshape(-1), minlength=N) > 100).all()
    drawn = shuffles[np.isin(shuffles, np.flatnonzero(PEOPLE == 3))]  # by anybody from the five tracklets of one
    share = np.bincount(drawn, minlength=N)[6:11] / len(drawn)
    assert share == pytest.approx(np.full(5, 0.2), abs=0.05)
    first, second = shuffles[:, PEOPLE == 4].T
    assert 0 < (first == second).mean() < 0.6


def test_without_people_each_tracklet_gets_the_predictions_of_another_and_all_are_used():
    for giver in shuffled_rows(None, 9):
        assert sorted(giver.tolist()) == list(range(9))
        assert (giver != np.arange(9)).all()


def test_shuffles_are_the_same_for_the_same_seed_only():
    first, again, other = (np.stack(list(shuffled_rows(PEOPLE, N, seed))) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any(axis=1).all()
    assert len(np.unique(first, axis=0)) == SHUFFLES


def test_one_person_cannot_be_shuffled():
    assert list(shuffled_rows(np.full(5, 3), 5)) == list(shuffled_rows(None, 1)) == []


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS.keys())
def test_scores_are_those_of_scoring_every_shuffle_for_all_tracklets_and_for_parts(protocol):
    rng = np.random.default_rng(2)
    p, y, known = check_inputs(
        rng.random((N, NUM_OUTPUTS), dtype=np.float32), random_labels(rng, N), GROUPS, known=random_known(rng, N)
    )
    parts = np.stack([np.ones(N, bool), np.arange(N) < 10, rng.random(N) < 0.5])
    known[parts[1], 0] = False  # no label of hat in this part
    threshold = protocol.threshold
    sums = ShuffledSums(protocol, threshold, (p, y & known, known), GROUPS, parts.astype(float))
    givers = list(shuffled_rows(PEOPLE, N))
    for giver in givers:
        sums.add(giver)
    by_group, average = sums.metrics()
    for r, giver in enumerate(givers):
        for s, rows in enumerate(parts):
            scores = protocol.score(p[giver][rows], y[rows], GROUPS, threshold, known=known[rows])
            assert {m: v[r, s] for m, v in average.items()} == pytest.approx(scores.average, abs=1e-9)
            assert ("hat" in scores.groups) == (s != 1 and not protocol.joint)
            for group, metrics in scores.groups.items():
                assert {m: v[r, s] for m, v in by_group[group].items()} == pytest.approx(metrics, abs=1e-9)
    assert list(by_group) == ([] if protocol.joint else [name for name, _ in GROUPS])


def p_value(probabilities, labels, people, protocol=PROTOCOLS["vtf"]):
    arrays = check_inputs(probabilities, labels, GROUPS)
    sums = ShuffledSums(protocol, protocol.threshold, arrays, GROUPS, np.ones((1, len(labels))))
    for giver in shuffled_rows(people, len(labels)):
        sums.add(giver)
    return chance(sums.metrics()[1]["f1"][:, 0], protocol.score(probabilities, labels, GROUPS).average["f1"]).p


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS.keys())
def test_constant_predictions_have_p_1_and_perfect_ones_the_lowest_possible(protocol):
    rng = np.random.default_rng(3)
    labels = random_labels(rng, 60)
    for constant in (np.full(labels.shape, 0.3), np.full(labels.shape, 0.9), np.tile(rng.random(7), (60, 1))):
        assert p_value(constant, labels, None, protocol) == 1
    assert p_value(labels.astype(float), labels, None, protocol) == pytest.approx(1 / 201, abs=1e-6)


def test_sums_over_many_tracklets_are_exact_enough_to_tell_that_a_constant_scores_the_same():
    rng = np.random.default_rng(4)
    labels = random_labels(rng, 8000)
    for held in ([0, 1, 1, 0, 1, 1, 1], [1, 1, 1, 1, 0, 1, 1]):
        constant = np.tile(held, (8000, 1))
        arrays = check_inputs(constant, labels, GROUPS)
        for protocol in PROTOCOLS.values():
            sums = ShuffledSums(protocol, protocol.threshold, arrays, GROUPS, np.ones((1, 8000)))
            sums.add(next(shuffled_rows(None, 8000)))
            score = protocol.score(constant, labels, GROUPS).average["f1"]
            assert sums.metrics()[1]["f1"][0, 0] == pytest.approx(score, abs=1e-12)


def test_p_of_random_predictions_is_about_uniform():
    values = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        people = np.arange(15).repeat(2)
        # Tracklets of one person resemble each other, in labels and in predictions.
        labels, probabilities = random_labels(rng, 15)[people], rng.random((15, NUM_OUTPUTS))[people]
        values.append(p_value(probabilities, labels, people))
    assert np.mean(np.array(values) <= 0.05) <= 0.15
    assert 0.4 < np.mean(values) < 0.6


def test_chance_counts_the_shuffles_that_score_at_least_as_high():
    shuffled = np.linspace(0, 1, 200)
    found = chance(shuffled, 0.9)
    assert found.p == pytest.approx((1 + (shuffled >= 0.9).sum()) / 201, abs=1e-6)
    assert (found.mean, found.low, found.high) == (0.5, 0.025, 0.975)
    assert chance(np.full(200, 0.7), 0.7).p == 1
