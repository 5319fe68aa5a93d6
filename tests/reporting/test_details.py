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
from tests.support.fake_runs import make_mars_run, make_run
from tests.support.hostile_files import NASTY, assert_refused, bounded, call_vpar
from vpar_cache.errors import CacheError, UserError
from vpar_cache.rendering.tables import Chart, Table
from vpar_cache.rendering.text import render
from vpar_cache.reporting.report import build_report


@pytest.fixture
def runs(tmp_path):
    for i, name in enumerate("abc"):
        make_run(tmp_path / "runs", name, schema=SCHEMA, n=60, seed=i, details=True)
    return tmp_path / "runs"


def titles(report):
    return [block.title for block in report.blocks() if isinstance(block, Table | Chart)]


def test_the_plain_report_reads_no_predictions(runs):
    for folder in runs.iterdir():
        (folder / "predictions.parquet").unlink()
    assert build_report([], runs).details == ()
    with pytest.raises(CacheError, match=r"predictions.parquet is missing"):
        build_report([], runs, details=True)


def test_table_1_shows_the_interval_of_vtf_f1_only_where_some_run_has_one(runs, tmp_path):
    make_run(tmp_path / "old", "old")
    assert "vtf F1 95 %" not in build_report([], tmp_path / "old").blocks()[0].header
    make_run(runs, "old", schema=SCHEMA, n=60, seed=9, selected=0.3)
    report = build_report([], runs)
    table = report.blocks()[0]
    column = table.header.index("vtf F1 95 %")
    assert table.header[column - 1] == "vtf F1"
    cells = {row[0]: row[column] for row in table.rows}
    low, high = json.loads((runs / "a" / "metrics.json").read_text())["intervals"]["vtf"]["average"]["f1"]
    assert cells.pop("a") == f"{100 * low:.1f} to {100 * high:.1f}"
    assert {name for name, cell in cells.items() if cell == "–"} == set(cells) - {"b", "c"}
    assert any(note.startswith("95 %") for note in report.footnotes)


def test_the_long_form_and_json_have_the_intervals_too(runs):
    report = build_report([runs / "a"], runs)
    rows = {(r["group"], r["protocol"], r["metric"]): r for r in csv.DictReader(io.StringIO(render(report, "csv")))
            if r["system"] == "a"}  # fmt: skip
    block = json.loads((runs / "a" / "metrics.json").read_text())["intervals"]
    assert rows["pose", "vtf", "f1_95_low"]["value"] == f"{100 * block['vtf']['groups']['pose']['f1'][0]:.2f}"
    high = block["videopar"]["average"]["accuracy"][1]
    assert rows["average", "videopar", "accuracy_95_high"]["value"] == f"{100 * high:.2f}"
    systems = json.loads(render(report, "json"))["sections"][0]["systems"]
    assert systems[-1]["intervals"]["people"] == 6


def test_details_follow_the_tables_of_each_run_in_every_format(runs):
    plain, report = build_report([], runs), build_report([], runs, details=True)
    assert titles(report)[: len(titles(plain))] == titles(plain)
    assert [details.system for details in report.details] == ["a", "b", "c"]
    markdown = render(report, "markdown")
    assert "c, small" not in markdown
    assert "reliability, all outputs pooled" in markdown
    assert markdown.count("### a, demo") == len(report.details[0].sheets)
    rows = list(csv.DictReader(io.StringIO(render(report, "csv"))))
    assert {"outputs", "slices_camera", "confusion", "1", "2"} <= {row["table"] for row in rows}
    found = json.loads(render(report, "json"))["details"]
    assert [one["system"] for one in found] == ["a", "b", "c"]
    assert "details" not in json.loads(render(plain, "json"))


def test_each_later_run_is_compared_with_the_first(runs):
    report = build_report([runs / "b", runs / "a", runs / "c"], runs, compare=True)
    assert [details.system for details in report.details] == ["a less b", "c less b"]
    negative = [
        row["value"] for row in csv.DictReader(io.StringIO(render(report, "csv")))
        if row["table"] == "comparison" and float(row["value"]) < 0
    ]  # fmt: skip
    assert negative  # and still numbers


def test_a_comparison_takes_two_runs(runs, tmp_path):
    with pytest.raises(UserError, match=r"--compare takes at least two runs, .* there is a"):
        build_report([runs / "a"], runs, compare=True)
    with pytest.raises(UserError, match=r"--compare takes at least two runs, .* there is none"):
        build_report([], tmp_path / "nowhere", compare=True)


def test_random_weights_are_marked_in_the_title_of_every_detail(tmp_path):
    folders = [
        make_run(tmp_path, "z-run", n=60, weights="random:0", random_weights=True, details=True),
        make_run(tmp_path, "b", n=60, seed=1, details=True),
    ]
    report = build_report(folders, tmp_path, details=True, compare=True)
    for block in (block for details in report.details for block in details.blocks()):
        if isinstance(block, Table | Chart):
            assert ("random weights" in block.title) == ("z-run" in block.title)
    found = {row["weights"] for row in report.long_rows() if row["system"] == "z-run"}
    assert found == {"random:0"}


def test_runs_of_one_name_keep_apart_in_their_details(tmp_path):
    folders = [make_run(tmp_path / root, "a", n=60, seed=i, details=True) for i, root in enumerate("xy")]
    report = build_report(folders, tmp_path, details=True, compare=True)
    assert [details.system for details in report.details] == [
        *(f"a in {folder}" for folder in folders),
        f"a in {folders[1]} less a in {folders[0]}",
    ]


def test_details_of_the_whole_mars_test_split_have_every_choice(tmp_path):
    folder = make_mars_run(tmp_path, "mars-a", people=634, details=True)
    report = build_report([folder], tmp_path, details=True)
    assert len([one for one in report.details[0].sheets if one.key == "confusion"]) == 5
    assert report.sections[0].dataset == "MARS"


# --- the command line, and run folders from a stranger ---


def test_the_command_prints_details_and_comparisons(runs):
    done = call_vpar("report", "a", "b", "--runs", str(runs), "--details", "--compare", folder=runs)
    assert done.returncode == 0
    assert "b less a" in done.stdout
    assert "parts by camera" in done.stdout
    assert call_vpar("report", "a", "--runs", str(runs), folder=runs).stdout.count("parts by") == 0


EDITS = {
    "names": lambda columns: columns.update(split=[NASTY] * 60),
    "one id twice": lambda columns: columns.update(tracklet_id=[NASTY] * 60),
    "lists": lambda columns: columns.update(person_id=[[1]] * 60),
    "few": lambda columns: columns.update(quality=[[]] * 60),
    "NaN": lambda columns: columns.update(probabilities=[[float("nan")] * 4] * 60),
    "huge": lambda columns: columns.update(labels=[[255] * 4] * 60),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_hostile_predictions_of_a_run_are_refused(runs, edit):
    rewrite(runs / "a", edit)
    with bounded(runs):
        done = call_vpar("report", str(runs / "a"), "--details", folder=runs)
    assert_refused(done, "predictions.parquet")


def test_rows_of_few_bytes_each_are_counted_before_they_are_unpacked(runs):
    count = 30_000_000
    names = pa.DictionaryArray.from_arrays(pa.array(bytes(count), pa.int8()), ["a"])
    known = pq.read_schema(runs / "a" / "predictions.parquet").names
    table = pa.table({name: names if name == "tracklet_id" else pa.nulls(count) for name in known})
    pq.write_table(table, runs / "a" / "predictions.parquet", row_group_size=count)
    del table, names
    with bounded(runs):
        done = call_vpar("report", str(runs / "a"), "--details", folder=runs)
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
