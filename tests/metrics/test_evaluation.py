"""All numbers of one predictor: each is the one that its own function gives."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from tests.support.made_up_scores import GROUPS, NUM_OUTPUTS, random_known, random_labels
from vpar_cache.errors import DataError
from vpar_cache.metrics.constants import best_constant
from vpar_cache.metrics.evaluation import baselines, evaluate
from vpar_cache.metrics.inputs import check_inputs
from vpar_cache.metrics.intervals import intervals
from vpar_cache.metrics.outputs import details
from vpar_cache.metrics.parts import Part
from vpar_cache.metrics.scoring import PROTOCOLS, score_all
from vpar_cache.metrics.shuffled import SHUFFLES, chance, shuffled_rows

N = 60
RNG = np.random.default_rng(0)
PEOPLE = np.arange(N) // 4 * 10
LABELS, KNOWN = random_labels(RNG, N), random_known(RNG, N)
KNOWN[:, GROUPS[2][1]] = False
KNOWN[:25, GROUPS[0][1]] = False
P = np.clip(0.5 * LABELS + 0.6 * RNG.random(LABELS.shape), 0, 1).astype(np.float32)
TRAIN_LABELS, TRAIN_KNOWN = random_labels(RNG, 80), random_known(RNG, 80)
TRAIN = baselines(TRAIN_LABELS, GROUPS, known=TRAIN_KNOWN)
PARTS = [
    Part("quality", "blurred", np.arange(N) < 9),
    Part("quality", "no hat known", np.arange(N) < 25),
    Part("camera", "camera 1", np.arange(N) % 3 == 0),
    Part("camera", "nothing", np.zeros(N, bool)),
    Part("length", "no label known", np.arange(N) > 48),
]
KNOWN[PARTS[4].rows] = False


@pytest.fixture(scope="module")
def found():
    return evaluate(
        P, LABELS, GROUPS, known=KNOWN, people=PEOPLE, train=TRAIN, selected_threshold=0.3, parts=PARTS
    )


def of_constant(name, rows=slice(None)):
    """Scores of the best constant of a protocol."""
    protocol = PROTOCOLS[name]
    held = best_constant(protocol, TRAIN_LABELS, GROUPS, known=TRAIN_KNOWN).astype(float)
    return protocol.score(np.tile(held, (N, 1))[rows], LABELS[rows], GROUPS, known=KNOWN[rows])


def shuffled(name, threshold, rows=slice(None)):
    """The scores of each shuffle, scored by itself."""
    return [
        PROTOCOLS[name].score(P[giver][rows], LABELS[rows], GROUPS, threshold, known=KNOWN[rows])
        for giver in shuffled_rows(PEOPLE, N)
    ]


def assert_chance(found, metrics, score):
    """To the six digits that are kept. `metrics`: of each shuffle."""
    expected = chance(np.array(metrics), score)
    assert asdict(found) == {name: pytest.approx(value, abs=2e-6) for name, value in asdict(expected).items()}


def test_it_is_plain_json(found):
    stored = json.loads(json.dumps(asdict(found), allow_nan=False))
    assert stored["scores"]["vtf"]["average"] == found.scores["vtf"].average
    assert list(stored["scores"]) == ["vtf", "videopar", "pooled", "instance", "vtf_selected"]


def test_it_counts_tracklets_people_and_unknown_labels_by_group(found):
    assert (found.num_tracklets, found.num_people, found.shuffles) == (N, 15, SHUFFLES)
    columns = {"hat": 0, "pose": 1, "gender": 4, "age": 5}
    assert found.unknown == {name: (~KNOWN[:, column]).sum() for name, column in columns.items()}
    assert evaluate(P, LABELS, GROUPS).unknown == {}


def test_scores_intervals_prior_and_details_are_those_of_their_functions(found):
    assert found.scores == score_all(P, LABELS, GROUPS, 0.3, known=KNOWN)
    rates = [
        TRAIN_LABELS[TRAIN_KNOWN[:, a], a].mean() if TRAIN_KNOWN[:, a].any() else 0 for a in range(NUM_OUTPUTS)
    ]
    assert found.prior_rates == pytest.approx(rates)
    prior = np.tile(found.prior_rates, (N, 1))
    assert found.prior == score_all(prior, LABELS, GROUPS, 0.3, known=KNOWN)
    assert found.intervals == intervals(P, LABELS, GROUPS, PEOPLE, known=KNOWN)
    assert found.details == details(*check_inputs(P, LABELS, GROUPS, known=KNOWN), GROUPS, np.array(rates))


def test_the_best_constant_is_chosen_on_train_labels_and_a_chosen_threshold_is_read_against_that_of_vtf(found):
    assert found.best_constant == {
        **{name: of_constant(name) for name in PROTOCOLS},
        "vtf_selected": of_constant("vtf"),
    }
    assert found.constants == {
        name: tuple(best_constant(protocol, TRAIN_LABELS, GROUPS, known=TRAIN_KNOWN).tolist())
        for name, protocol in PROTOCOLS.items()
    }


def test_shuffled_scores_are_those_of_scoring_each_shuffle(found):
    assert list(found.shuffled) == list(found.scores)
    for name, scores in found.scores.items():
        shuffles = shuffled(scores.protocol, scores.threshold)
        luck = found.shuffled[name]
        assert list(luck.average) == list(scores.average)
        assert list(luck.groups) == list(scores.groups)
        for metric, value in scores.average.items():
            assert_chance(luck.average[metric], [one.average[metric] for one in shuffles], value)
        for group, metrics in scores.groups.items():
            assert_chance(luck.groups[group]["f1"], [one.groups[group]["f1"] for one in shuffles], metrics["f1"])


def test_every_part_has_the_scores_of_its_rows_alone_and_is_read_against_the_same_rows(found):
    assert [(one.kind, one.name, one.num_tracklets) for one in found.parts] == [
        (part.kind, part.name, part.rows.sum()) for part in PARTS
    ]
    assert [one.num_people for one in found.parts] == [len(set(PEOPLE[part.rows].tolist())) for part in PARTS]
    for index in (1, 2):
        part, rows = found.parts[index], PARTS[index].rows
        expected = score_all(P[rows], LABELS[rows], GROUPS, known=KNOWN[rows])
        assert list(part.scores) == list(PROTOCOLS)
        for name, score in part.scores.items():
            average = expected[name].average
            assert (score.f1, score.mA) == (average["f1"], average.get("mA"))
            assert score.best_constant == of_constant(name, rows).average["f1"]
            shuffles = shuffled(name, PROTOCOLS[name].threshold, rows)
            assert_chance(score.shuffled, [one.average["f1"] for one in shuffles], score.f1)


def test_a_part_of_few_tracklets_or_without_a_known_label_has_a_count_and_no_scores(found):
    sizes = {one.name: one.num_tracklets for one in found.parts if not one.scores}
    assert sizes == {"blurred": 9, "nothing": 0, "no label known": 11}


def test_without_people_intervals_and_shuffles_are_over_tracklets():
    found = evaluate(P, LABELS, GROUPS, known=KNOWN, parts=PARTS[:2])
    assert (found.num_people, found.intervals.over, found.intervals.number) == (None, "tracklets", N)
    assert {one.num_people for one in found.parts} == {None}
    alone = evaluate(P, LABELS, GROUPS, known=KNOWN, people=np.arange(N), parts=PARTS[:2])
    assert found.shuffled == alone.shuffled
    assert found.shuffled != evaluate(P, LABELS, GROUPS, known=KNOWN, people=PEOPLE).shuffled


def test_without_train_labels_there_is_no_constant_and_no_prior():
    found = evaluate(P, LABELS, GROUPS, known=KNOWN, people=PEOPLE, parts=PARTS[2:3])
    assert (found.best_constant, found.constants, found.prior, found.prior_rates) == ({}, {}, {}, ())
    assert {score.best_constant for score in found.parts[0].scores.values()} == {None}
    assert list(found.scores) == list(PROTOCOLS)
    json.dumps(asdict(found), allow_nan=False)


def test_one_person_has_scores_and_nothing_to_shuffle_or_resample():
    found = evaluate(P, LABELS, GROUPS, known=KNOWN, people=np.zeros(N, int), train=TRAIN, parts=PARTS)
    assert (found.num_people, found.shuffled, found.intervals.protocols) == (1, {}, {})
    assert {score.shuffled for one in found.parts for score in one.scores.values()} == {None}
    json.dumps(asdict(found), allow_nan=False)


def test_labels_that_one_protocol_cannot_score_are_refused():
    with pytest.raises(DataError, match="exactly one class"):
        evaluate(P, np.ones_like(LABELS), GROUPS)


def test_what_a_score_is_read_against_is_found_by_protocol_group_and_metric(found):
    assert found.constant_of("pooled", None, "recall") == of_constant("pooled").average["recall"]
    assert found.constant_of("vtf_selected", "pose", "f1") == of_constant("vtf").groups["pose"]["f1"]
    assert found.chance_of("instance", None, "accuracy") == found.shuffled["instance"].average["accuracy"]
    assert found.chance_of("vtf", "hat", "f1") == found.shuffled["vtf"].groups["hat"]["f1"]
    for absent in (
        ("instance", "pose", "f1"),
        ("vtf", "gender", "f1"),
        ("vtf", None, "accuracy"),
        ("x", None, "f1"),
    ):
        assert found.constant_of(*absent) is None
        assert found.chance_of(*absent) is None
