"""The bootstrap over people against scipy's, which scores every resample from its tracklets."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import bootstrap

from tests.support.made_up_scores import GROUPS, random_labels
from vpar_cache.errors import DataError
from vpar_cache.metrics.intervals import difference_block, interval_block
from vpar_cache.metrics.scoring import PROTOCOLS

MEASURES = [
    (name, group, metric)
    for name, protocol in PROTOCOLS.items()
    for group, metrics in [(None, protocol.interval_metrics), *((group, ["f1"]) for group, _ in GROUPS)]
    for metric in metrics
]
PEOPLE = np.array([7, 7, 7, -1, 900, 900, 3, 3, 3, 3, 3, 12, 12, 900, 7, 12, 12, 4, 4, 900])
"""Of any value, in any order, with 1 to 5 tracklets each."""


def made_up(seed: int, n: int = len(PEOPLE)) -> tuple[np.ndarray, np.ndarray]:
    """Coarse float32 probabilities, so that ties with the thresholds occur; a class that is never true."""
    rng = np.random.default_rng(seed)
    labels = random_labels(rng, n)
    labels[:, 2] |= labels[:, 3]
    labels[:, 3] = 0
    return rng.choice(np.float32([0, 0.2, 0.45, 0.5, 0.9]), labels.shape), labels


def rescored(probabilities, labels, rows):
    scores = {name: p.score(probabilities[rows], labels[rows], GROUPS) for name, p in PROTOCOLS.items()}
    return [
        (scores[name].average if group is None else scores[name].groups[group])[metric]
        for name, group, metric in MEASURES
    ]


def brute_force(statistic, seed):
    """(len(MEASURES), 2): scipy's own loop over resampled people, each with all rows that are theirs."""
    rows_of = [np.flatnonzero(person == PEOPLE) for person in np.unique(PEOPLE)]
    found = bootstrap(
        (np.arange(len(rows_of)),),
        lambda drawn: np.array(statistic(np.concatenate([rows_of[i] for i in drawn]))),
        n_resamples=1000,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return np.stack([found.low, found.high], axis=1)


def flat(block, key=None):
    """Values of the nested block in the order of MEASURES."""
    found = []
    for protocol, group, metric in MEASURES:
        part = block[protocol]["average"] if group is None else block[protocol]["groups"][group]
        found.append(part[metric] if key is None else part[metric][key])
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_intervals_are_those_of_scoring_every_resample(seed):
    probabilities, labels = made_up(seed)
    block = interval_block(probabilities, labels, GROUPS, PEOPLE, seed)
    expected = brute_force(lambda rows: rescored(probabilities, labels, rows), seed)
    assert flat(block) == [pytest.approx(pair, abs=1e-6) for pair in expected.tolist()]
    assert (block["people"], block["resamples"]) == (6, 1000)


def test_differences_are_those_of_scoring_both_runs_on_the_same_resample():
    (first, labels), (second, _) = made_up(0), made_up(1)

    def difference(rows):
        return np.subtract(rescored(second, labels, rows), rescored(first, labels, rows))

    block = difference_block(first, second, labels, GROUPS, PEOPLE, 3)
    assert flat(block, "difference") == pytest.approx(difference(np.arange(len(PEOPLE))), abs=1e-6)
    expected = brute_force(difference, 3)
    assert flat(block, "interval") == [pytest.approx(pair, abs=1e-6) for pair in expected.tolist()]


def test_people_are_drawn_and_not_tracklets():
    """Copies of a person's tracklet tell nothing new: the interval must not become narrower."""
    rng = np.random.default_rng(0)
    labels = random_labels(rng, 30)
    probabilities = rng.random(labels.shape)
    people = np.arange(30)
    once = interval_block(probabilities, labels, GROUPS, people)
    copied = interval_block(
        *(np.repeat(x, 20, axis=0) for x in (probabilities, labels)), GROUPS, people.repeat(20)
    )
    assert flat(copied) == [pytest.approx(pair, abs=1e-6) for pair in flat(once)]


def test_intervals_hold_the_scores_and_are_plain_json():
    probabilities, labels = made_up(2)
    block = interval_block(probabilities, labels, GROUPS, PEOPLE)
    points = rescored(probabilities, labels, np.arange(len(PEOPLE)))
    for (low, high), point in zip(flat(block), points, strict=True):
        assert 0 <= low <= point <= high <= 1
    assert json.loads(json.dumps(block, allow_nan=False)) == block
    assert list(block["vtf"]["average"]) == ["precision", "recall", "f1"]
    assert list(block["videopar"]["average"]) == ["f1", "accuracy"]
    assert list(block["vtf"]["groups"]) == list(block["videopar"]["groups"]) == [name for name, _ in GROUPS]


def test_one_person_has_no_interval():
    probabilities, labels = made_up(0)
    alone = np.zeros(len(labels), np.int32)
    block = interval_block(probabilities, labels, GROUPS, alone)
    assert (block["people"], block["vtf"], block["videopar"]) == (1, None, None)
    difference = difference_block(probabilities, probabilities, labels, GROUPS, alone)
    assert set(flat(difference, "interval")) == {None}


@pytest.mark.parametrize("people", [PEOPLE[1:], PEOPLE.astype(float)])
def test_person_ids_that_are_not_one_integer_a_tracklet_are_refused(people):
    with pytest.raises(DataError, match=r"person ids are .* one integer for each of the 20"):
        interval_block(*made_up(0), GROUPS, people)


def test_arrays_that_do_not_fit_are_refused_as_in_scoring():
    probabilities, labels = made_up(0)
    with pytest.raises(DataError, match="must lie in 0 to 1"):
        interval_block(probabilities + 1, labels, GROUPS, PEOPLE)
    with pytest.raises(DataError, match="exactly one class"):
        difference_block(probabilities, probabilities, np.ones_like(labels), GROUPS, PEOPLE)
