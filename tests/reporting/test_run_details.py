"""Details of a run: every number carries its protocol, threshold and count, and is the one of metrics."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, recall_score

from tests.support.fake_runs import SMALL, make_run
from vpar_cache.errors import CacheError
from vpar_cache.metrics.outputs import calibration
from vpar_cache.metrics.scoring import PROTOCOLS
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
        "outputs", "calibration", "reliability", "threshold_curve", "confusion", "parts_quality", "parts_camera",
        "parts_length", "validation",
    ]  # fmt: skip
    assert sum(isinstance(block, Chart) for block in details.blocks) == 2


def test_every_title_names_the_run_with_its_marks_and_the_rule(tmp_path):
    folder = make_run(tmp_path, "a", schema=SCHEMA, n=60, details=True, weights="random:0", random_weights=True)
    _, details = details_of(folder)
    for block in details.blocks:
        if isinstance(block, Table | Chart):
            assert block.title.startswith("a (random weights): ")
            named = " ".join((block.title, *block.header) if isinstance(block, Table) else (block.title,))
            assert any(rule in named for rule in (*PROTOCOLS, "; no threshold")), block.title


def test_every_score_has_its_protocol_its_threshold_and_its_tracklets(whole):
    _, details = whole
    for one in details.numbers:
        assert (one.system, one.source, one.kind) == ("a", "run", "strict")
        without = one.table in ("calibration", "reliability") or one.metric in ("people", "tracklets", "positives")
        assert without != (one.protocol in PROTOCOLS and one.threshold is not None)
        assert one.n == 60 or one.table.startswith("parts")


def test_outputs_and_calibration_are_those_of_the_metrics(whole):
    run, details = whole
    predictions = read_test_predictions(run)
    p, y = predictions.probabilities, predictions.labels
    answers = p > np.float32(0.45)
    for metric, score in (
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
        ("mA", balanced_accuracy_score),
    ):
        found = numbers(details, "outputs", metric)
        assert [one.item for one in found] == ["hat", "pose front", "pose side", "pose back"]
        assert [one.value for one in found] == pytest.approx(
            [100 * score(y[:, a], answers[:, a]) for a in range(4)]
        )
        yes = [100 * score(y[:, a], np.ones(60, bool)) for a in range(4)]
        assert [one.best_constant for one in found] == pytest.approx(yes)
    assert [one.value for one in numbers(details, "outputs", "positives")] == [20, 20, 20, 20]
    errors = [calibration(p[:, columns], y[:, columns]).error for columns in (slice(1), slice(1, 4), slice(4))]
    assert [one.value for one in numbers(details, "calibration", "ece")] == pytest.approx(
        [100 * e for e in errors]
    )
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
    assert {y for _, y in chart.lines[3][1]} == {100 * run.best_constant["vtf"].average["f1"]}


def test_confusions_count_each_tracklet_once_by_class_names(whole):
    run, details = whole
    pose = table(details, "pose, tracklets by true class")  # hat has one output
    assert pose.header == ("True class", "all", "front", "side", "back")
    assert sum(int(cell) for row in pose.rows for cell in row[2:]) == 60
    hits = sum(int(row[i]) for i, row in enumerate(pose.rows, 2))
    assert hits / 60 == pytest.approx(run.scores["videopar"].groups["pose"]["accuracy"])


def test_each_protocol_has_a_table_of_groups_with_all_that_a_score_is_read_against(whole):
    run, details = whole
    for protocol, scores in run.scores.items():
        if protocol == "vtf_selected":
            continue
        found = table(details, "each group", f", {protocol}")
        assert [row[0] for row in found.rows] == [*scores.groups, "average"]
        cells = dict(zip(found.header, found.rows[-1], strict=True))
        low, high = run.intervals.of(protocol, None, "f1")
        assert cells["F1"] == f"{100 * scores.average['f1']:.2f}"
        assert cells["F1 95 %"] == f"{100 * low:.1f} to {100 * high:.1f}"
        assert cells["best constant F1"] == f"{100 * run.best_constant[protocol].average['f1']:.2f}"
        luck = run.shuffled[protocol].average["f1"]
        assert (cells["shuffled F1"], cells["p"]) == (f"{100 * luck.mean:.2f}", f"{luck.p:.3f}")
        assert cells["shuffled 95 %"] == f"{100 * luck.low:.1f} to {100 * luck.high:.1f}"


def test_parts_have_the_stored_scores_each_beside_its_own_baselines(whole):
    run, details = whole
    for part in run.parts:
        found = {(n.protocol, n.metric): n for n in numbers(details, f"parts_{part.kind}") if n.item == part.name}
        assert found["", "tracklets"].value == part.num_tracklets
        assert found["", "people"].value == part.num_people
        assert {protocol for protocol, _ in found} - {""} == part.scores.keys()
        for protocol, scores in part.scores.items():
            one = found[protocol, "f1"]
            assert (one.value, one.n) == (100 * scores.f1, part.num_tracklets)
            assert one.best_constant == 100 * scores.best_constant
            assert (one.shuffled, one.p) == (100 * scores.shuffled.mean, scores.shuffled.p)
            assert ((protocol, "mA") in found) == (scores.mA is not None)
    cells = table(details, "parts by camera")
    assert {"vtf F1", "vtf best constant", "vtf shuffled", "instance F1", "instance shuffled"} <= set(cells.header)


def test_validation_numbers_stand_apart_with_their_constant(whole):
    run, details = whole
    found = {one.protocol: one for one in numbers(details, "validation")}
    assert list(found) == ["vtf", "videopar", "pooled", "instance"]
    for protocol, one in found.items():
        assert (one.split, one.metric) == ("validation", "f1")
        assert one.value == 100 * run.validation.scores[protocol].average["f1"]
        assert one.best_constant == 100 * run.validation.best_constant[protocol].average["f1"]


def test_unknown_labels_are_counted_for_each_output_and_have_no_part_in_its_scores(tmp_path):
    folder = make_run(tmp_path, "a", schema=SCHEMA, n=60, details=True, unknown=0.3)
    run, details = details_of(folder)
    predictions = read_test_predictions(run)
    for a, (counted, f1) in enumerate(
        zip(numbers(details, "outputs", "unknown"), numbers(details, "outputs", "f1"), strict=True)
    ):
        known = predictions.known[:, a]
        assert counted.value == (~known).sum()
        answers = predictions.probabilities[known, a] > np.float32(0.45)
        assert f1.value == pytest.approx(100 * f1_score(predictions.labels[known, a], answers))
    pose = table(details, "pose, tracklets by true class")
    assert sum(int(row[1]) for row in pose.rows) == predictions.known[:, 1].sum()
    _, complete = details_of(make_run(tmp_path, "b", schema=SCHEMA, n=60, details=True))
    assert not numbers(complete, "outputs", "unknown")


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
    for found in (block for block in details.blocks if isinstance(block, Table)):
        assert not {"F1 95 %", "shuffled F1", "p"} & set(found.header)


def test_people_that_are_not_known_are_not_counted_and_intervals_say_over_tracklets(tmp_path):
    _, details = details_of(make_run(tmp_path, "a", schema=SCHEMA, n=60, details=True, people=None))
    assert "60 tracklets" in notes(details)[0]
    assert not [one for one in details.numbers if one.metric == "people"]


@pytest.mark.parametrize(("people", "rough"), [(29, True), (30, False)])
def test_intervals_over_few_people_are_called_rough(tmp_path, people, rough):
    _, details = details_of(make_run(tmp_path, "a", n=60, details=True, people=people))
    assert notes(details)[0].endswith("With so few they are rough.") == rough


# --- the training curve ---

HISTORY = [
    {"epoch": 1, "train_loss": 2.5, "validation_loss": 2.0, "validation_f1": 0.25, "seconds": 1.0},
    {"epoch": 2, "train_loss": math.nan, "validation_loss": 1.5, "validation_f1": 0.5, "seconds": 1.0},
]


def write_history(folder: Path, rows: list[dict[str, float | None]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), folder / "history.parquet")


def test_the_training_curve_has_losses_and_validation_f1_of_each_epoch(folder):
    write_history(folder, HISTORY)
    run, details = details_of(folder)
    found = {(one.item, one.metric): one for one in numbers(details, "training")}
    assert len(found) == 5  # a loss that is not finite is no number
    assert (found["2", "validation_f1"].value, found["2", "validation_f1"].protocol) == (50.0, "vtf")
    assert (found["1", "train_loss"].value, found["1", "train_loss"].split) == (2.5, "train")
    assert table(details, "training").rows == (("1", "2.5", "2", "25.00"), ("2", "–", "1.5", "50.00"))
    losses, f1 = [block for block in details.blocks if isinstance(block, Chart)][2:]
    assert [name for name, _ in losses.lines] == ["train loss", "validation loss"]
    constant = 100 * run.validation.best_constant["vtf"].average["f1"]
    assert f1.lines == (
        ("validation vtf F1", ((1.0, 25.0), (2.0, 50.0))),
        ("best constant", ((1.0, constant), (2.0, constant))),
    )
    assert (found["2", "validation_f1"].best_constant, found["2", "validation_f1"].threshold) == (constant, 0.45)
    assert found["1", "train_loss"].best_constant is None


def test_a_history_that_cannot_be_read_is_an_error_that_names_it(folder):
    (folder / "history.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(CacheError, match=r"history\.parquet"):
        details_of(folder)
