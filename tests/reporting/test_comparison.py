"""Differences between two runs: of the same tracklets alone, whatever their order."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runs.test_predictions import SCHEMA, rewrite
from tests.support.fake_runs import groups_of, make_run
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.errors import CacheError
from vpar_cache.metrics.intervals import difference_block
from vpar_cache.metrics.scoring import THRESHOLDS
from vpar_cache.reporting.comparison import compare_runs
from vpar_cache.runs.finished import read_run
from vpar_cache.runs.predictions import read_test_predictions


def named(folder):
    run = read_run(folder)
    return run, run.name


@pytest.fixture
def pair(tmp_path):
    return [make_run(tmp_path, name, schema=SCHEMA, n=60, seed=i, details=True) for i, name in enumerate("ab")]


def differences(details):
    return {(one.item, one.protocol): one for one in details.numbers}


def test_differences_are_the_second_less_the_first(pair):
    first, second = map(named, pair)
    found = differences(compare_runs(first, second))
    for protocol in ("vtf", "videopar", "pooled"):
        a, b = (run.scores[protocol] for run, _ in (first, second))
        hat, average = found["hat F1", protocol], found["average F1", protocol]
        assert hat.value == pytest.approx(100 * (b.groups["hat"]["f1"] - a.groups["hat"]["f1"]), abs=1e-4)
        assert average.value == pytest.approx(100 * (b.average["f1"] - a.average["f1"]), abs=1e-4)
        assert average.low <= average.value <= average.high
    instance = found["average accuracy", "instance"]
    one, two = (run.scores["instance"].average["accuracy"] for run, _ in (first, second))
    assert instance.value == pytest.approx(100 * (two - one), abs=1e-4)
    assert ("hat F1", "instance") not in found
    assert ("average recall", "videopar") not in found
    assert ("average accuracy", "vtf") not in found


def test_tracklets_in_another_order_are_matched_by_their_ids(pair):
    before = compare_runs(*map(named, pair))
    order = np.random.default_rng(0).permutation(60)
    rewrite(pair[1], lambda columns: columns.update({k: [v[i] for i in order] for k, v in columns.items()}))
    assert compare_runs(*map(named, pair)) == before
    a, b = (read_test_predictions(read_run(folder)) for folder in pair)
    wrong = difference_block(a.probabilities, b.probabilities, a.labels, groups_of(SCHEMA), a.person_ids)
    shown = differences(before)["average F1", "vtf"].value
    assert 100 * wrong["vtf"]["average"]["f1"]["difference"] != pytest.approx(shown)


def test_a_comparison_carries_both_names_and_the_rule(pair):
    details = compare_runs(*map(named, pair))
    assert details.title == "b less a"
    assert details.blocks[0].title.startswith("b less a: ")
    assert "under each protocol" in details.blocks[0].title
    assert {heading.split()[0] for heading in details.blocks[0].header[1:]} == set(THRESHOLDS)
    for one in details.numbers:
        assert (one.system, one.source, one.unit, one.n) == ("b less a", "comparison", "points", 60)
        assert one.threshold == THRESHOLDS[one.protocol]


def test_random_weights_of_either_mark_the_comparison(tmp_path):
    a = make_run(tmp_path, "a", details=True)
    b = make_run(tmp_path, "b", seed=1, details=True, weights="random:0", random_weights=True)
    details = compare_runs(named(a), named(b))
    assert details.title == "b (random weights) less a"
    assert {one.weights for one in details.numbers} == {"random:0, openai"}


def test_one_person_leaves_differences_without_intervals(tmp_path):
    folders = [make_run(tmp_path, name, seed=i, details=True, people=1) for i, name in enumerate("ab")]
    details = compare_runs(*map(named, folders))
    assert details.blocks[1].lines[0].startswith("comparison: one person only")
    assert {one.low for one in details.numbers} == {None}


def refused(first, second, message):
    with pytest.raises(CacheError, match=message) as caught:
        compare_runs(named(first), named(second))
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)
    assert "compare runs on the same cache and split" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_runs_of_other_tracklets_attributes_labels_or_people_are_refused(pair, tmp_path):
    fewer = make_run(tmp_path, "fewer", schema=SCHEMA, n=59, seed=1, details=True)
    refused(pair[0], fewer, r"59 test tracklets\) was not tested on .* \(60\): only one has '0059C1T0001'")
    refused(fewer, pair[0], r"only one has '0059C1T0001'")
    mars = make_run(tmp_path, "mars", schema=MARS, n=60, details=True)
    refused(pair[0], mars, r"other attributes \(mars, 43 outputs\) than .* \(small, 4\)")
    people = make_run(tmp_path, "people", schema=SCHEMA, n=60, people=5, details=True)
    refused(pair[0], people, "another person or other labels for tracklet '0010C1T0001'")
    unknown = make_run(tmp_path, "unknown", schema=SCHEMA, n=60, unknown=0.3, details=True)
    refused(pair[0], unknown, "another person or other labels for tracklet")


def test_unknown_labels_have_no_part_in_a_difference(tmp_path):
    fields = {"schema": SCHEMA, "n": 60, "unknown": 0.3, "people": None, "details": True}
    first, second = (named(make_run(tmp_path, name, seed=i, **fields)) for i, name in enumerate("ab"))
    details = compare_runs(first, second)
    a, b = (run.scores["vtf"].average["f1"] for run, _ in (first, second))
    assert differences(details)["average F1", "vtf"].value == pytest.approx(100 * (b - a), abs=1e-4)
    assert "60 tracklets" in details.blocks[1].lines[0]
