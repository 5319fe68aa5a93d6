"""`vpar report --details` and `--compare`: what is added to the report, and what it costs nobody else."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runs.test_predictions import SCHEMA, rewrite
from tests.support.fake_runs import make_run
from tests.support.hostile_files import NASTY, assert_refused, bounded, call_vpar
from vpar_cache.errors import CacheError, UserError
from vpar_cache.rendering.formats import render
from vpar_cache.rendering.tables import Chart, Table
from vpar_cache.reporting.report import report as make_report


@pytest.fixture
def runs(tmp_path):
    for i, name in enumerate("abc"):
        make_run(tmp_path / "runs", name, schema=SCHEMA, n=60, seed=i, details=True)
    return tmp_path / "runs"


def titles(report):
    blocks = (block for part in report.parts for block in part.blocks)
    return [block.title for block in blocks if isinstance(block, Table | Chart)]


def first_table(report):
    return next(block for block in report.parts[0].blocks if isinstance(block, Table))


def systems(report):
    return [part.numbers[0].system for part in report.details]


def test_neither_the_report_nor_its_details_read_predictions_and_a_comparison_does(runs):
    expected = make_report([], runs, details=True)
    for folder in runs.iterdir():
        (folder / "predictions.parquet").unlink()
    assert make_report([], runs).details == ()
    assert make_report([], runs, details=True) == expected
    with pytest.raises(CacheError, match=r"predictions.parquet is missing"):
        make_report([], runs, compare=True)


def test_table_1_shows_intervals_and_shuffled_scores_only_where_some_run_has_them(runs, tmp_path):
    make_run(tmp_path / "alone", "alone", people=1)
    bare = first_table(make_report([], tmp_path / "alone"))
    assert not {"F1 95 %", "F1 shuffled", "p"} & set(bare.header)
    report = make_report([], runs)
    table = first_table(report)
    rows = {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}
    stored = json.loads((runs / "a" / "metrics.json").read_text())
    low, high = stored["intervals"]["protocols"]["vtf"]["average"]["f1"]
    assert rows["a"]["F1 95 %"] == f"{100 * low:.1f} to {100 * high:.1f}"
    luck = stored["shuffled"]["vtf"]["average"]["f1"]
    assert (rows["a"]["F1 shuffled"], rows["a"]["p"]) == (f"{100 * luck['mean']:.2f}", f"{luck['p']:.3f}")
    assert [rows["best constant"][heading] for heading in ("F1 95 %", "F1 shuffled", "p")] == ["–"] * 3
    assert any(note.startswith("95 %") for note in report.footnotes)


def test_the_long_table_has_the_intervals_too(runs):
    block = json.loads((runs / "a" / "metrics.json").read_text())["intervals"]["protocols"]
    found = {
        (n.group, n.protocol, n.metric): n for n in make_report([runs / "a"], runs).numbers if n.system == "a"
    }
    assert found["pose", "vtf", "f1"].low == pytest.approx(100 * block["vtf"]["groups"]["pose"]["f1"][0])
    high = block["videopar"]["average"]["accuracy"][1]
    assert found["average", "videopar", "accuracy"].high == pytest.approx(100 * high)


def test_details_follow_the_tables_of_each_run_and_widen_table_1(runs):
    plain, report = make_report([], runs), make_report([], runs, details=True)
    assert titles(report)[: len(titles(plain))] == titles(plain)
    assert systems(report) == ["a", "b", "c"]
    assert "F1 of means" not in first_table(plain).header
    assert "mA" in first_table(plain).header
    assert {"F1 of means", "F1 shuffled 95 %"} <= set(first_table(report).header)
    rows = list(csv.DictReader(io.StringIO(render(report, "csv"))))
    assert {"outputs", "parts_camera", "confusion", "averages", "groups"} <= {row["table"] for row in rows}


def test_a_page_has_all_details_and_makes_none_twice(runs):
    report = make_report([], runs, details=True)
    whole = report.with_all_details()
    assert systems(whole) == ["a", "b", "c", "b less a", "c less a"]
    assert all(one is other for one, other in zip(report.details, whole.details, strict=False))
    assert whole.notes == ()


def test_a_comparison_takes_two_runs(runs, tmp_path):
    with pytest.raises(UserError, match=r"--compare: got a; expected at least two runs"):
        make_report([runs / "a"], runs, compare=True)
    with pytest.raises(UserError, match=r"--compare: got none; expected at least two runs"):
        make_report([], tmp_path / "nowhere", compare=True)


def test_random_weights_are_marked_in_the_title_of_every_detail(tmp_path):
    folders = [
        make_run(tmp_path, "z-run", n=60, weights="random:0", random_weights=True, details=True),
        make_run(tmp_path, "b", n=60, seed=1, details=True),
    ]
    report = make_report(folders, tmp_path, details=True, compare=True)
    for title in titles(report)[-20:]:
        assert ("random weights" in title) == ("z-run" in title)
    assert {n.weights for n in report.numbers if n.system == "z-run"} == {"random:0"}


def test_runs_of_one_name_keep_apart_in_their_details(tmp_path):
    folders = [make_run(tmp_path / root, "a", n=60, seed=i, details=True) for i, root in enumerate("xy")]
    report = make_report(folders, tmp_path, details=True, compare=True)
    assert systems(report) == [
        *(f"a in {folder}" for folder in folders),
        f"a in {folders[1]} less a in {folders[0]}",
    ]


# --- the command line, and run folders from a stranger ---


def test_the_command_prints_details_and_comparisons(runs):
    done = call_vpar("report", "a", "b", "--runs", str(runs), "--details", "--compare", folder=runs)
    assert done.returncode == 0
    assert "b less a" in done.stdout
    assert "parts by camera" in done.stdout
    assert call_vpar("report", "a", "--runs", str(runs), folder=runs).stdout.count("parts by") == 0


EDITS = {
    "one id twice": lambda columns: columns.update(tracklet_id=[NASTY] * 60),
    "lists": lambda columns: columns.update(person_id=[[1]] * 60),
    "NaN": lambda columns: columns.update(probabilities=[[float("nan")] * 4] * 60),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_hostile_predictions_of_a_run_are_refused(runs, edit):
    rewrite(runs / "a", edit)
    with bounded(runs):
        done = call_vpar("report", "a", "b", "--runs", str(runs), "--compare", folder=runs)
    assert_refused(done, "predictions.parquet")


def test_rows_of_few_bytes_each_are_counted_before_they_are_unpacked(runs):
    count = 30_000_000
    names = pa.DictionaryArray.from_arrays(pa.array(bytes(count), pa.int8()), ["a"])
    known = pq.read_schema(runs / "a" / "predictions.parquet").names
    table = pa.table({name: names if name == "tracklet_id" else pa.nulls(count) for name in known})
    pq.write_table(table, runs / "a" / "predictions.parquet", row_group_size=count)
    del table, names
    with bounded(runs):
        done = call_vpar("report", "a", "b", "--runs", str(runs), "--compare", folder=runs)
    assert_refused(done, f"{count} rows, but 1000000 are the most")


def test_names_from_a_run_print_as_text_in_the_details_of_every_format(tmp_path: Path):
    for i, name in enumerate(("one", "two")):
        make_run(tmp_path / "runs", name, name=f"=1+1{NASTY}{i}", n=60, seed=i, dataset=NASTY, details=True)
    for form in ("rich", "markdown", "csv", "json"):
        done = call_vpar("report", "--runs", "runs", "--details", "--compare", "--format", form, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert not set("\x1b\x07\u202e") & set(done.stdout + done.stderr)
        if form == "csv":
            cells = [cell for line in done.stdout.splitlines() for cell in line.split(",")]
            assert not [cell for cell in cells if cell.lstrip('"').startswith(("=", "+", "@"))]
