"""One sentence names the distance to the best constant and whether shuffled predictions do as well."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.support.made_up_scores import GROUPS, random_labels
from vpar_cache.metrics.evaluation import baselines, evaluate
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.scoring import PROTOCOLS
from vpar_cache.metrics.verdict import verdict

RNG = np.random.default_rng(1)
LABELS = random_labels(RNG, 40)
TRAIN = baselines(random_labels(RNG, 50), GROUPS)
PEOPLE = np.arange(40) // 2
GOOD = np.clip(LABELS + 0.1 * RNG.random(LABELS.shape), 0, 1)


def distances(found):
    """Points of F1 above the best constant."""
    return {
        name: 100 * (found.scores[name].average["f1"] - found.best_constant[name].average["f1"])
        for name in PROTOCOLS
    }


def with_constant(found, f1):
    """The same evaluation against best constants of these F1 by protocol."""
    constants = {name: ProtocolScores(name, 0.45, {}, {"f1": value}) for name, value in f1.items()}
    return replace(found, best_constant={**found.best_constant, **constants})


def with_p(found, p):
    """The same evaluation with these p of the average F1 by protocol."""
    return replace(
        found,
        shuffled={
            name: replace(one, average={"f1": replace(one.average["f1"], p=p.get(name, one.average["f1"].p))})
            for name, one in found.shuffled.items()
        },
    )


@pytest.fixture(scope="module")
def good():
    return evaluate(GOOD, LABELS, GROUPS, people=PEOPLE, train=TRAIN)


def test_a_good_model_is_above_both_under_all_protocols(good):
    said = verdict(good)
    for name, points in distances(good).items():
        assert points > 0
        assert f"{points:.2f} ({name})" in said
    assert "all four" in said
    assert "0.005" in said
    assert "not above" not in said
    assert re.fullmatch(r"F1 is above .*\.", said)


def test_a_constant_model_is_above_neither(good):
    found = evaluate(np.full(LABELS.shape, 0.2), LABELS, GROUPS, people=PEOPLE, train=TRAIN)
    said = verdict(found)
    for name, points in distances(found).items():
        assert points <= 0
        assert f"{name} ({points:.2f})" in said
        assert f"{name} (p 1.000)" in said
    assert not re.search(r"(?<!not )above", said)


def test_the_best_constant_itself_is_not_above_it():
    found = evaluate(np.tile(TRAIN.constants["vtf"], (40, 1)), LABELS, GROUPS, train=TRAIN)
    said = verdict(found)
    assert "vtf (0.00)" in said
    assert "0.00 (vtf)" not in said


def test_a_mixed_result_names_the_protocols_on_both_sides(good):
    low = good.scores["videopar"].average["f1"] + 0.0123
    said = verdict(with_p(with_constant(good, {"videopar": low}), {"pooled": 0.051, "instance": 0.05}))
    constant, shuffled = said.split(", and ")
    above, below = constant.split("but not above")
    assert re.findall(r"\((\w+)\)", above) == ["vtf", "pooled", "instance"]
    assert re.findall(r"(\w+) \((-?[\d.]+)\)", below) == [("videopar", "-1.23")]
    above, below = shuffled.split("but not above")
    assert re.findall(r"vtf|videopar|pooled|instance", above) == ["vtf", "videopar", "instance"]
    assert re.findall(r"p at most ([\d.]+)", above) == ["0.050"]
    assert re.findall(r"(\w+) \(p ([\d.]+)\)", below) == [("pooled", "0.051")]


def test_without_train_labels_it_speaks_of_shuffled_alone():
    said = verdict(evaluate(GOOD, LABELS, GROUPS, people=PEOPLE))
    assert "constant" not in said
    assert "shuffled" in said
    assert said.startswith("F1 is above")


def test_with_one_person_it_speaks_of_the_constant_alone_and_without_both_it_says_nothing():
    alone = np.zeros(40, int)
    said = verdict(evaluate(GOOD, LABELS, GROUPS, people=alone, train=TRAIN))
    assert "constant" in said
    assert "shuffled" not in said
    assert verdict(evaluate(GOOD, LABELS, GROUPS, people=alone)) == ""


def test_of_images_the_mean_accuracy_and_instance_come_first() -> None:
    found = evaluate(GOOD, LABELS, GROUPS, train=TRAIN, unit="image")
    said = verdict(found)
    mean = 100 * found.scores["instance"].average["mA"]
    constant = 100 * found.best_constant["instance"].average["mA"]
    assert said.startswith(f"mA is {mean:.2f}, that of the best constant {constant:.2f}. F1 is ")
    assert said.index("(instance)") < said.index("(vtf)")
    assert found.protocols[0] == "instance"
    assert set(found.protocols) == set(PROTOCOLS)


def test_of_tracklets_vtf_comes_first_and_no_mean_accuracy() -> None:
    found = evaluate(GOOD, LABELS, GROUPS, train=TRAIN, people=PEOPLE, selected_threshold=0.3)
    assert found.protocols == (*PROTOCOLS, "vtf_selected")
    assert "mA" not in verdict(found)


def test_images_of_nobody_known_are_what_is_resampled() -> None:
    assert evaluate(GOOD, LABELS, GROUPS, unit="image").intervals.over == "images"
    assert evaluate(GOOD, LABELS, GROUPS).intervals.over == "tracklets"
    assert evaluate(GOOD, LABELS, GROUPS, unit="image", people=PEOPLE).intervals.over == "people"
