"""Parts of the test tracklets: each is scored as if it were all there is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_runs import SMALL, groups_of, make_run
from vpar_cache.metrics.videopar import VIDEOPAR
from vpar_cache.metrics.vtf import VTF
from vpar_cache.reporting.slices import MIN_TRACKLETS, length_parts, slice_scores
from vpar_cache.runs.predictions import read_test_predictions
from vpar_cache.runs.scores import read_run

SCHEMA = replace(SMALL, quality=("occlusion", "cut-out"))


def parts_of(folder):
    run = read_run(folder)
    predictions = read_test_predictions(run)
    return run, predictions, {part.name: part for part in slice_scores(run, predictions)}


@pytest.fixture
def whole(tmp_path):
    return parts_of(make_run(tmp_path, "a", schema=SCHEMA, n=60, prior=0.5, details=True))


def test_every_part_has_the_scores_of_its_rows_alone_and_the_prior_on_the_same_rows(whole):
    _, predictions, parts = whole
    groups = groups_of(SCHEMA)
    rows = {
        "all": np.ones(60, bool),
        "occlusion": predictions.quality[:, 0],
        "no cut-out": ~predictions.quality[:, 1],
        "camera 2": predictions.camera_ids == 2,
    }
    for name, chosen in rows.items():
        p, y, part = predictions.probabilities[chosen], predictions.labels[chosen], parts[name]
        vtf, videopar = VTF.score(p, y, groups, 0.45).average, VIDEOPAR.score(p, y, groups, 0.5).average
        assert (part.vtf_f1, part.vtf_ma, part.videopar_f1) == (vtf["f1"], vtf["mA"], videopar["f1"])
        constant = np.full(y.shape, 0.5)
        for protocol, f1, score in (("vtf", vtf["f1"], VTF.score), ("videopar", videopar["f1"], VIDEOPAR.score)):
            prior = score(constant, y, groups, {"vtf": 0.45, "videopar": 0.5}[protocol]).average["f1"]
            assert part.over_prior(protocol) == pytest.approx(f1 - prior)
        assert part.num_tracklets == chosen.sum()
        assert part.num_people == len(set(predictions.person_ids[chosen].tolist()))
    assert parts["occlusion"].over_prior("vtf") != parts["occlusion"].vtf_f1


def test_parts_of_one_kind_are_all_tracklets_once(whole):
    _, _, parts = whole
    for kind in ("camera", "length"):
        assert sum(part.num_tracklets for part in parts.values() if part.kind == kind) == 60
    for flag in SCHEMA.quality:
        assert parts[flag].num_tracklets + parts[f"no {flag}"].num_tracklets == 60
    assert [part.kind for part in parts.values()] == ["all"] + ["quality"] * 4 + ["camera"] * 3 + ["length"] * 4


def test_all_tracklets_have_the_scores_of_the_run(whole):
    run, _, parts = whole
    assert parts["all"].vtf_f1 == pytest.approx(run.scores["vtf"].average["f1"])
    prior = run.prior["videopar"].average["f1"]
    assert parts["all"].over_prior("videopar") == pytest.approx(run.scores["videopar"].average["f1"] - prior)


def test_a_part_of_few_tracklets_has_a_count_and_no_score(tmp_path):
    _, _, parts = parts_of(make_run(tmp_path, "a", schema=SCHEMA, n=29, details=True))
    assert MIN_TRACKLETS == 10
    few = parts["camera 3"]
    assert (few.num_tracklets, few.vtf_f1, few.over_prior("vtf")) == (9, None, None)
    assert parts["camera 1"].num_tracklets == MIN_TRACKLETS
    assert parts["camera 1"].vtf_f1 is not None


def test_a_part_that_is_empty_is_counted_as_such(tmp_path):
    run, predictions, _ = parts_of(make_run(tmp_path, "a", schema=SCHEMA, details=True))
    nobody = replace(predictions, quality=np.zeros_like(predictions.quality))
    part = next(part for part in slice_scores(run, nobody) if part.name == "occlusion")
    assert (part.num_tracklets, part.num_people, part.vtf_f1) == (0, 0, None)


def test_without_the_train_rates_no_prior_is_made_up(whole):
    run, predictions, _ = whole
    for part in slice_scores(replace(run, prior_rates=None), predictions):
        assert part.prior_vtf_f1 is part.prior_videopar_f1 is part.over_prior("vtf") is None


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_quarters_by_length_are_disjoint_in_order_and_keep_equal_lengths_together(lengths):
    num_frames = np.array(lengths)
    parts = list(length_parts(num_frames))
    assert (sum(rows.astype(int) for _, rows in parts) == 1).all()
    assert 1 <= len(parts) <= 4
    ends = [(num_frames[rows].min(), num_frames[rows].max()) for _, rows in parts]
    assert all(first[1] < second[0] for first, second in pairwise(ends))
    for (name, _), (low, high) in zip(parts, ends, strict=True):
        assert name == (f"{low} frames" if low == high else f"{low} to {high} frames")


def test_quarters_of_distinct_lengths_are_quarters():
    sizes = [rows.sum() for _, rows in length_parts(np.random.default_rng(0).permutation(np.arange(1, 101)))]
    assert sizes == [25] * 4
