"""Parts of the test tracklets: each is scored as if it were all there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.fake_runs import SMALL, groups_of, make_run
from vpar_cache.metrics.scoring import score_block
from vpar_cache.reporting.slices import MIN_TRACKLETS, slice_numbers
from vpar_cache.runs.finished import read_run
from vpar_cache.runs.predictions import read_test_predictions

SCHEMA = replace(SMALL, quality=("occlusion", "cut-out"))


def read(folder):
    run = read_run(folder)
    return run, read_test_predictions(run)


def values(run, predictions):
    """Value of each part, protocol and metric."""
    numbers = slice_numbers(run, predictions, dataset="d", system="s", source="run")
    return {(one.table, one.item, one.protocol, one.metric): one.value for one in numbers}


@pytest.fixture
def whole(tmp_path):
    run, predictions = read(make_run(tmp_path, "a", schema=SCHEMA, n=60, prior=0.5, details=True))
    return run, predictions, values(run, predictions)


def test_every_part_has_the_scores_of_its_rows_alone_and_the_prior_on_the_same_rows(whole):
    _, predictions, found = whole
    rows = {
        ("quality", "occlusion"): predictions.quality[:, 0],
        ("quality", "no cut-out"): ~predictions.quality[:, 1],
        ("camera", "camera 2"): predictions.camera_ids == 2,
        ("length", "all"): np.ones(60, bool),
    }
    for (kind, name), chosen in rows.items():
        p, y = predictions.probabilities[chosen], predictions.labels[chosen]
        blocks = [score_block(x, y, groups_of(SCHEMA), None) for x in (p, np.full(y.shape, 0.5))]
        for protocol in ("vtf", "videopar"):
            run, prior = (block[protocol]["average"] for block in blocks)
            key = (f"slices_{kind}", name, protocol)
            assert found[*key, "f1"] == pytest.approx(100 * run["f1"])
            assert found[*key, "f1_over_prior"] == pytest.approx(100 * (run["f1"] - prior["f1"]))
        assert found[f"slices_{kind}", name, "vtf", "mA"] == pytest.approx(100 * blocks[0]["vtf"]["average"]["mA"])
        assert found[f"slices_{kind}", name, "", "tracklets"] == chosen.sum()
        people = len(set(predictions.person_ids[chosen].tolist()))
        assert found[f"slices_{kind}", name, "", "people"] == people


def test_parts_of_one_kind_are_all_tracklets_once(whole):
    _, _, found = whole
    sizes = {(table, item): value for (table, item, _, metric), value in found.items() if metric == "tracklets"}
    for kind in ("camera", "length"):
        assert sum(v for (table, item), v in sizes.items() if table == f"slices_{kind}" and item != "all") == 60
    for flag in SCHEMA.quality:
        assert sizes["slices_quality", flag] + sizes["slices_quality", f"no {flag}"] == 60


def test_a_part_of_few_tracklets_has_a_count_and_no_score(tmp_path):
    found = values(*read(make_run(tmp_path, "a", schema=SCHEMA, n=29, details=True)))
    assert found["slices_camera", "camera 3", "", "tracklets"] == 9 < MIN_TRACKLETS
    assert ("slices_camera", "camera 3", "vtf", "f1") not in found
    assert ("slices_camera", "camera 1", "vtf", "f1") in found


def test_a_part_that_is_empty_is_counted_as_such(whole):
    run, predictions, _ = whole
    found = values(run, replace(predictions, quality=np.zeros_like(predictions.quality)))
    assert found["slices_quality", "occlusion", "", "tracklets"] == 0
    assert found["slices_quality", "occlusion", "", "people"] == 0
