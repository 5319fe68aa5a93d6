"""Details of a run: every number carries its protocol, threshold and count, and is the one of metrics.py."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.support.fake_runs import SMALL, groups_of, make_run
from vpar_cache.metrics.outputs import calibration, output_scores
from vpar_cache.rendering.tables import Chart, Table
from vpar_cache.reporting.run_details import run_details
from vpar_cache.runs.predictions import read_test_predictions
from vpar_cache.runs.scores import read_run

SCHEMA = replace(SMALL, quality=("occlusion",))


def details_of(folder):
    run = read_run(folder)
    return run, run_details(run, run.name, f"{run.name} (a mark)")


@pytest.fixture
def whole(tmp_path):
    return details_of(make_run(tmp_path, "a", schema=SCHEMA, n=60, selected=0.3, details=True))


def sheet(details, key):
    return [one for one in details.sheets if one.key == key]


def test_every_kind_of_detail_is_there_in_order(whole):
    _, details = whole
    assert [one.key for one in details.sheets] == [
        "intervals", "outputs", "calibration", "reliability", "threshold_curve", "confusion", "slices_quality",
        "slices_camera", "slices_length",
    ]  # fmt: skip
    assert sum(isinstance(block, Chart) for block in details.blocks()) == 2


def test_every_title_names_the_run_with_its_mark_the_split_and_the_rule(whole):
    run, details = whole
    for block in details.blocks():
        if isinstance(block, Table | Chart):
            assert block.title.startswith(f"a (a mark), {run.place}: ")
            assert any(rule in block.title for rule in ("; vtf, probability > ", "; videopar", "; no threshold"))


def test_every_score_in_the_long_form_has_protocol_and_threshold(whole):
    _, details = whole
    for row in details.long_rows():
        assert (row["system"], row["source"]) == ("a", "run")
        without = row["table"] in ("calibration", "reliability") or row["metric"] == "people"
        assert without != (row["protocol"] in ("vtf", "videopar") and row["threshold"] != "")
    json.dumps(details.to_dict(), allow_nan=False)


def test_outputs_and_calibration_are_those_of_the_metrics(whole):
    run, details = whole
    predictions = read_test_predictions(run)
    (outputs,) = sheet(details, "outputs")
    scores = output_scores(predictions.probabilities, predictions.labels, groups_of(SCHEMA), 0.45)
    assert [row.item for row in outputs.rows] == ["hat", "pose front", "pose side", "pose back"]
    assert [row.n for row in outputs.rows] == [20, 20, 20, 20]
    assert [row.values for row in outputs.rows] == [
        tuple(scores[metric][a] for metric in ("precision", "recall", "f1", "mA")) for a in range(4)
    ]
    (errors,) = sheet(details, "calibration")
    p, y = predictions.probabilities, predictions.labels
    assert [row.values for row in errors.rows] == [
        (calibration(p[:, :1], y[:, :1]).error,),
        (calibration(p[:, 1:], y[:, 1:]).error,),
        (calibration(p, y).error,),
    ]
    (bins,) = sheet(details, "reliability")
    assert sum(row.n for row in bins.rows) == 240
    assert [row.item for row in bins.rows[:3]] == ["0 to 0.1", "0.1 to 0.2", "0.2 to 0.3"]


def test_the_curve_at_the_papers_threshold_is_the_stored_score(whole):
    run, details = whole
    (curve,) = sheet(details, "threshold_curve")
    (row,) = [row for row in curve.rows if row.threshold == 0.45]
    average = run.scores["vtf"].average
    assert row.values == pytest.approx(tuple(average[m] for m in ("precision", "recall", "f1")))
    assert curve.chart.lines[2][1][8] == (0.45, pytest.approx(100 * average["f1"]))


def test_confusions_count_each_tracklet_once_by_class_names(whole):
    run, details = whole
    (pose,) = sheet(details, "confusion")  # hat is no choice
    assert [row.label for row in pose.rows] == ["front", "side", "back"]
    assert sum(sum(row.values) for row in pose.rows) == 60
    hits = sum(row.values[i] for i, row in enumerate(pose.rows))
    assert hits / 60 == pytest.approx(run.scores["videopar"].groups["pose"]["accuracy"])


def test_intervals_stand_beside_the_stored_scores(whole):
    run, details = whole
    (intervals,) = sheet(details, "intervals")
    assert [row.label for row in intervals.rows] == ["hat", "pose", "average"]
    vtf, vtf_95, videopar, videopar_95 = intervals.rows[-1].values
    assert (vtf, videopar) == tuple(run.scores[p].average["f1"] for p in ("vtf", "videopar"))
    assert (vtf_95, videopar_95) == tuple(run.intervals.of(p, None, "f1") for p in ("vtf", "videopar"))


def starts(details):
    return [note.partition(" ")[0] for note in details.notes]


def test_notes_speak_of_what_is_in_these_tables(whole, tmp_path):
    _, details = whole
    assert starts(details) == ["intervals:", "outputs:", "calibration:", "thresholds:", "parts:"]
    _, few = details_of(make_run(tmp_path, "few", schema=SCHEMA, n=21, details=True))
    assert starts(few) == ["intervals:", "outputs:", "calibration:", "parts:", "no"]
    assert "fewer than 10 tracklets: no occlusion" not in few.notes[-1]
    assert "camera 1" in few.notes[-1]


def test_one_person_is_said_to_have_no_interval(tmp_path):
    _, details = details_of(make_run(tmp_path, "a", details=True, people=1))
    assert details.notes[0].startswith("intervals: one person only")
    assert [row.values[1] for row in sheet(details, "intervals")[0].rows] == [None] * 3


@pytest.mark.parametrize(("people", "rough"), [(29, True), (30, False)])
def test_intervals_over_few_people_are_called_rough(tmp_path, people, rough):
    _, details = details_of(make_run(tmp_path, "a", n=60, details=True, people=people))
    assert details.notes[0].endswith("With so few people they are rough.") == rough


def test_a_run_without_intervals_or_rates_still_has_the_other_details_and_is_told_so(tmp_path):
    folder = make_run(tmp_path, "a", schema=SCHEMA, n=60, details=True)
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["intervals"], metrics["prior_rates"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    _, details = details_of(folder)
    assert "train it again" in details.notes[0]
    assert "no prior_rates" in details.notes[-1]
    over_prior = [row.values[2] for row in sheet(details, "slices_camera")[0].rows]
    assert over_prior == [None] * 4
    assert sheet(details, "slices_camera")[0].rows[0].values[1] is not None


def test_a_dataset_without_quality_flags_has_no_table_of_them(tmp_path):
    _, details = details_of(make_run(tmp_path, "a", n=60, details=True))
    assert sheet(details, "slices_quality") == []
    assert len(sheet(details, "slices_camera")) == 1
