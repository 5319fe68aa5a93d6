"""Details of a run: every number carries its protocol, threshold and count, and is the one of metrics."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.fake_runs import SMALL, groups_of, make_run
from vpar_cache.errors import CacheError
from vpar_cache.metrics.outputs import calibration, output_scores
from vpar_cache.rendering.tables import Chart, Notes, Part, Table
from vpar_cache.reporting.run_details import run_details
from vpar_cache.runs.finished import read_run
from vpar_cache.runs.predictions import read_test_predictions

SCHEMA = replace(SMALL, quality=("occlusion",))


def details_of(folder):
    run = read_run(folder)
    return run, run_details(run, run.name)


@pytest.fixture
def folder(tmp_path):
    return make_run(tmp_path, "a", schema=SCHEMA, n=60, selected=0.3, details=True, recipe="strict")


@pytest.fixture
def whole(folder):
    return details_of(folder)


def numbers(details: Part, table: str, metric: str = ""):
    return [one for one in details.numbers if one.table == table and metric in ("", one.metric)]


def table(details: Part, *words: str) -> Table:
    (found,) = (b for b in details.blocks if isinstance(b, Table) and all(word in b.title for word in words))
    return found


def notes(details: Part) -> tuple[str, ...]:
    (found,) = (block for block in details.blocks if isinstance(block, Notes))
    return found.lines


def test_every_kind_of_detail_is_there_in_order(whole):
    _, details = whole
    assert list(dict.fromkeys(one.table for one in details.numbers)) == [
        "outputs", "calibration", "reliability", "threshold_curve", "confusion", "slices_quality", "slices_camera",
        "slices_length",
    ]  # fmt: skip
    assert sum(isinstance(block, Chart) for block in details.blocks) == 2


def test_every_title_names_the_run_with_its_marks_and_the_rule(tmp_path):
    folder = make_run(tmp_path, "a", schema=SCHEMA, n=60, details=True, weights="random:0", random_weights=True)
    _, details = details_of(folder)
    for block in details.blocks:
        if isinstance(block, Table | Chart):
            assert block.title.startswith("a (random weights): ")
            assert any(rule in block.title for rule in ("; vtf, probability > ", "; videopar", "; no threshold"))


def test_every_score_has_its_protocol_its_threshold_and_its_tracklets(whole):
    _, details = whole
    for one in details.numbers:
        assert (one.system, one.source, one.kind) == ("a", "run", "strict")
        without = one.table in ("calibration", "reliability") or one.metric in ("people", "tracklets", "positives")
        assert without != (one.protocol in ("vtf", "videopar") and one.threshold is not None)
        assert one.n == 60 or one.table.startswith("slices")


def test_outputs_and_calibration_are_those_of_the_metrics(whole):
    run, details = whole
    predictions = read_test_predictions(run)
    p, y = predictions.probabilities, predictions.labels
    scores = output_scores(p, y, groups_of(SCHEMA), 0.45)
    for metric in ("precision", "recall", "f1", "mA"):
        found = numbers(details, "outputs", metric)
        assert [one.item for one in found] == ["hat", "pose front", "pose side", "pose back"]
        assert [one.value for one in found] == pytest.approx(100 * scores[metric])
    assert [one.value for one in numbers(details, "outputs", "positives")] == [20, 20, 20, 20]
    errors = [calibration(p[:, columns], y[:, columns]).error for columns in (slice(1), slice(1, 4), slice(4))]
    assert [one.value for one in numbers(details, "calibration")] == pytest.approx([100 * e for e in errors])
    bins = numbers(details, "reliability", "labels")
    assert sum(one.value for one in bins) == 240
    assert [one.item for one in bins[:3]] == ["0 to 0.1", "0.1 to 0.2", "0.2 to 0.3"]


def test_the_curve_at_the_papers_threshold_is_the_stored_score(whole):
    run, details = whole
    for metric in ("precision", "recall", "f1"):
        (found,) = (one for one in numbers(details, "threshold_curve", metric) if one.threshold == 0.45)
        assert found.value == pytest.approx(100 * run.scores["vtf"].average[metric])
    (chart,) = (block for block in details.blocks if isinstance(block, Chart) and block.x_label == "threshold")
    assert chart.lines[2][1][8] == (0.45, pytest.approx(100 * run.scores["vtf"].average["f1"]))


def test_confusions_count_each_tracklet_once_by_class_names(whole):
    run, details = whole
    pose = table(details, "pose, tracklets by true class")  # hat has one output
    assert pose.header == ("True class", "all", "front", "side", "back")
    assert sum(int(cell) for row in pose.rows for cell in row[2:]) == 60
    hits = sum(int(row[i]) for i, row in enumerate(pose.rows, 2))
    assert hits / 60 == pytest.approx(run.scores["videopar"].groups["pose"]["accuracy"])


def test_intervals_stand_beside_the_stored_scores(whole):
    run, details = whole
    rows = table(details, "95 % intervals").rows
    assert [row[0] for row in rows] == ["hat", "pose", "average"]
    low, high = run.intervals.of("videopar", None, "f1")
    assert rows[-1][1] == f"{100 * run.scores['vtf'].average['f1']:.2f}"
    assert rows[-1][4] == f"{100 * low:.1f} to {100 * high:.1f}"


def starts(details):
    return [note.partition(" ")[0] for note in notes(details)]


def test_notes_speak_of_what_is_in_these_tables(whole, tmp_path):
    _, details = whole
    assert starts(details) == ["intervals:", "outputs:", "calibration:", "thresholds:", "parts:"]
    _, few = details_of(make_run(tmp_path, "few", schema=SCHEMA, n=21, details=True))
    assert starts(few) == ["intervals:", "outputs:", "calibration:", "parts:", "no"]
    assert "fewer than 10 tracklets: no occlusion" not in notes(few)[-1]
    assert "camera 1" in notes(few)[-1]


def test_one_person_is_said_to_have_no_interval(tmp_path):
    _, details = details_of(make_run(tmp_path, "a", details=True, people=1))
    assert notes(details)[0].startswith("intervals: one person only")
    assert {row[2] for row in table(details, "95 % intervals").rows} == {"–"}


@pytest.mark.parametrize(("people", "rough"), [(29, True), (30, False)])
def test_intervals_over_few_people_are_called_rough(tmp_path, people, rough):
    _, details = details_of(make_run(tmp_path, "a", n=60, details=True, people=people))
    assert notes(details)[0].endswith("With so few people they are rough.") == rough


# --- the training curve ---

HISTORY = [
    {"epoch": 1, "train_loss": 2.5, "validation_loss": 2.0, "validation_f1": 0.25, "seconds": 1.0},
    {"epoch": 2, "train_loss": math.nan, "validation_loss": 1.5, "validation_f1": 0.5, "seconds": 1.0},
]


def write_history(folder: Path, rows: list[dict[str, float | None]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), folder / "history.parquet")


def test_the_training_curve_has_losses_and_validation_f1_of_each_epoch(folder):
    write_history(folder, HISTORY)
    _, details = details_of(folder)
    found = {(one.item, one.metric): one for one in numbers(details, "training")}
    assert len(found) == 5  # a loss that is not finite is no number
    assert (found["2", "validation_f1"].value, found["2", "validation_f1"].protocol) == (50.0, "vtf")
    assert (found["1", "train_loss"].value, found["1", "train_loss"].split) == (2.5, "train")
    assert table(details, "training").rows == (("1", "2.5", "2", "25.00"), ("2", "–", "1.5", "50.00"))
    losses, f1 = [block for block in details.blocks if isinstance(block, Chart)][2:]
    assert [name for name, _ in losses.lines] == ["train loss", "validation loss"]
    assert f1.lines == (("validation vtf F1", ((1.0, 25.0), (2.0, 50.0))),)


def test_a_history_that_cannot_be_read_is_an_error_that_names_it(folder):
    (folder / "history.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(CacheError, match=r"history\.parquet"):
        details_of(folder)
