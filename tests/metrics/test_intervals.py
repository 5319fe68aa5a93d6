"""The bootstrap over people against scipy's, which scores every resample from its tracklets."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import bootstrap

from tests.support.made_up_scores import GROUPS, random_known, random_labels
from vpar_cache.errors import DataError
from vpar_cache.metrics.intervals import Intervals, difference_block, intervals
from vpar_cache.metrics.scoring import PROTOCOLS

MEASURES = [
    (name, group, metric)
    for name, protocol in PROTOCOLS.items()
    for group, metrics in [
        (None, protocol.interval_metrics),
        *((group, ["f1"]) for group, _ in GROUPS if not protocol.joint),
    ]
    for metric in metrics
]
PEOPLE = np.array([7, 7, 7, -1, 900, 900, 3, 3, 3, 3, 3, 12, 12, 900, 7, 12, 12, 4, 4, 900])
"""Of any value, in any order, with 1 to 5 tracklets each."""
ALL_KNOWN = np.ones((len(PEOPLE), 7), bool)
SOME_KNOWN = random_known(np.random.default_rng(9), len(PEOPLE))
RARELY_KNOWN = SOME_KNOWN.copy()
RARELY_KNOWN[:, GROUPS[1][1]] &= (PEOPLE == 7)[:, None]  # pose of one person alone: some resamples have none


def made_up(seed: int, n: int = len(PEOPLE)) -> tuple[np.ndarray, np.ndarray]:
    """Coarse float32 probabilities, so that ties with the thresholds occur; a class that is never true."""
    rng = np.random.default_rng(seed)
    labels = random_labels(rng, n)
    labels[:, 2] |= labels[:, 3]
    labels[:, 3] = 0
    return rng.choice(np.float32([0, 0.2, 0.45, 0.5, 0.9]), labels.shape), labels


def rescored(probabilities, labels, known, rows):
    """Scores of the rows in the order of MEASURES, NaN for a group without a known label."""
    scores = {
        name: p.score(probabilities[rows], labels[rows], GROUPS, known=known[rows])
        for name, p in PROTOCOLS.items()
    }
    return [
        scores[name].average[metric] if group is None else scores[name].groups.get(group, {}).get(metric, np.nan)
        for name, group, metric in MEASURES
    ]


def brute_force(statistic, seed, people=PEOPLE):
    """(len(MEASURES), 2): scipy's own loop over resampled people, each with all rows that are theirs. Resamples
    without a score are left out."""
    rows_of = [np.flatnonzero(person == people) for person in np.unique(people)]
    drawn = bootstrap(
        (np.arange(len(rows_of)),),
        lambda chosen: np.nan_to_num(statistic(np.concatenate([rows_of[i] for i in chosen])), nan=-9),
        n_resamples=1000,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).bootstrap_distribution
    return np.nanpercentile(np.where(drawn == -9, np.nan, drawn), [2.5, 97.5], axis=-1).T


def flat(found: Intervals) -> list[tuple[float, float] | None]:
    return [found.of(*measure) for measure in MEASURES]


def flat_block(block, key):
    """Values of the nested block in the order of MEASURES."""
    for protocol, group, metric in MEASURES:
        part = block[protocol]["average"] if group is None else block[protocol]["groups"].get(group, {})
        yield part[metric][key] if part else None


@pytest.mark.parametrize("known", [ALL_KNOWN, RARELY_KNOWN], ids=["all known", "some"])
def test_intervals_are_those_of_scoring_every_resample(known):
    probabilities, labels = made_up(0)
    found = intervals(probabilities, labels, GROUPS, PEOPLE, known=known, seed=1)
    expected = brute_force(lambda rows: rescored(probabilities, labels, known, rows), 1)
    assert flat(found) == [pytest.approx(tuple(pair), abs=1e-6) for pair in expected.tolist()]
    assert (found.over, found.number, found.resamples) == ("people", 6, 1000)


@pytest.mark.slow
def test_differences_are_those_of_scoring_both_runs_on_the_same_resample():
    (first, labels), (second, _) = made_up(0), made_up(1)
    known = RARELY_KNOWN

    def difference(rows):
        return np.subtract(rescored(second, labels, known, rows), rescored(first, labels, known, rows))

    block = difference_block(first, second, labels, GROUPS, PEOPLE, known=known, seed=3)
    assert list(flat_block(block, "difference")) == pytest.approx(difference(np.arange(len(PEOPLE))), abs=1e-6)
    expected = brute_force(difference, 3)
    assert list(flat_block(block, "interval")) == [pytest.approx(pair, abs=1e-6) for pair in expected.tolist()]
    assert json.loads(json.dumps(block, allow_nan=False)) == block


def test_without_people_tracklets_are_drawn():
    probabilities, labels = made_up(3)
    found = intervals(probabilities, labels, GROUPS, None)
    assert (found.over, found.number, found.method) == (
        "tracklets",
        20,
        "percentile bootstrap over tracklets, 95 %",
    )
    assert flat(found) == flat(intervals(probabilities, labels, GROUPS, np.arange(20)))
    assert flat(found) != flat(intervals(probabilities, labels, GROUPS, PEOPLE))
    assert difference_block(probabilities, probabilities, labels, GROUPS, None)["over"] == "tracklets"


def test_people_are_drawn_and_not_tracklets():
    """Copies of a person's tracklet tell nothing new: the interval must not become narrower."""
    rng = np.random.default_rng(0)
    labels = random_labels(rng, 30)
    arrays = rng.random(labels.shape), labels
    people = np.arange(30)
    once = intervals(*arrays, GROUPS, people)
    copied = intervals(*(np.repeat(x, 20, axis=0) for x in arrays), GROUPS, people.repeat(20))
    assert flat(copied) == [pytest.approx(pair, abs=1e-6) for pair in flat(once)]


def test_intervals_hold_the_scores_and_are_plain_json():
    probabilities, labels = made_up(2)
    found = intervals(probabilities, labels, GROUPS, PEOPLE, known=SOME_KNOWN)
    points = rescored(probabilities, labels, SOME_KNOWN, np.arange(len(PEOPLE)))
    for (low, high), point in zip(flat(found), points, strict=True):
        assert 0 <= low <= point <= high <= 1
    json.dumps(asdict(found), allow_nan=False)
    assert {name: tuple(one.average) for name, one in found.protocols.items()} == {
        "vtf": ("precision", "recall", "f1", "mA"),
        "videopar": ("f1", "accuracy"),
        "pooled": ("precision", "recall", "f1", "mA"),
        "instance": ("accuracy", "precision", "recall", "f1", "mA"),
    }
    assert list(found.protocols["vtf"].groups) == [name for name, _ in GROUPS]
    assert found.protocols["instance"].groups == {}


def test_a_group_without_a_known_label_has_no_interval():
    probabilities, labels = made_up(0)
    known = SOME_KNOWN.copy()
    known[:, 0] = False
    found = intervals(probabilities, labels, GROUPS, PEOPLE, known=known)
    assert found.of("vtf", "hat", "f1") is None
    assert found.of("vtf", "pose", "f1") is not None
    block = difference_block(probabilities, probabilities, labels, GROUPS, PEOPLE, known=known)
    assert list(block["pooled"]["groups"]) == ["pose", "gender", "age"]


def test_one_person_has_no_interval():
    probabilities, labels = made_up(0)
    alone = np.zeros(len(labels), np.int32)
    found = intervals(probabilities, labels, GROUPS, alone)
    assert (found.number, found.protocols, set(flat(found))) == (1, {}, {None})
    difference = difference_block(probabilities, probabilities, labels, GROUPS, alone)
    assert set(flat_block(difference, "interval")) == {None}
    assert set(flat_block(difference, "difference")) == {0}


@pytest.mark.parametrize("people", [PEOPLE[1:], PEOPLE.astype(float)])
def test_person_ids_that_are_not_one_integer_a_tracklet_are_refused(people):
    with pytest.raises(DataError, match=r"person ids are .* one integer for each of the 20"):
        intervals(*made_up(0), GROUPS, people)


def test_arrays_that_do_not_fit_are_refused_as_in_scoring():
    probabilities, labels = made_up(0)
    with pytest.raises(DataError, match="must lie in 0 to 1"):
        intervals(probabilities + 1, labels, GROUPS, PEOPLE)
    with pytest.raises(DataError, match="exactly one class"):
        difference_block(probabilities, probabilities, np.ones_like(labels), GROUPS, PEOPLE)
