"""The report: which numbers may stand beside which."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from rich.console import Console

from tests.support.fake_runs import SMALL, make_mars_run, make_run, predictions, write
from vpar_cache.attributes.schema import DUKE, MARS
from vpar_cache.errors import CacheError
from vpar_cache.rendering.tables import Table
from vpar_cache.rendering.text import render, rich_blocks
from vpar_cache.reporting.report import Report, build_report


def tables(report: Report) -> dict[str, Table]:
    return {block.title: block for block in report.blocks() if isinstance(block, Table)}


def column(table: Table, title: str) -> dict[str, str]:
    index = table.header.index(title)
    return {row[0]: row[index] for row in table.rows}


def csv_rows(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(report, "csv"))))


def test_without_runs_the_published_rows_stand_and_a_note_says_how_to_make_one(tmp_path):
    report = build_report([], tmp_path / "runs")
    assert [section.dataset for section in report.sections] == ["MARS", "DUKE"]
    assert any("vpar extract" in note and "no prior" in note for note in report.notes)
    sources = {system.source for section in report.sections for system in section.systems}
    assert sources == {"published"}
    assert "97.26" in render(report, "markdown")


def test_published_rows_are_those_of_the_paper(tmp_path):
    table = tables(build_report([], tmp_path))["Table 1. MARS: averages over 14 groups, in percent"]
    assert table.header == ("System", "Source", "vtf P", "vtf R", "vtf F1", "videopar F1", "videopar acc")
    assert ("CLIP-VTF", "published", "81.76", "82.95", "81.94", "–", "–") in table.rows
    assert ("VideoPAR (video)", "published", "–", "–", "–", "72.04", "–") in table.rows
    assert len(table.rows) == 7
    duke = tables(build_report([], tmp_path))["Table 1. DUKE: averages over groups, in percent"]
    assert ("VTB", "published", "77.23", "81.44", "78.83", "–", "–") in duke.rows


def test_every_published_number_is_in_the_csv_under_its_own_protocol(tmp_path):
    rows = {(r["dataset"], r["system"], r["group"], r["metric"]): r for r in csv_rows(build_report([], tmp_path))}
    assert len(rows) == 93
    assert rows["MARS", "CLIP-VTF", "hat", "f1"]["value"] == "72.76"
    for (_, system, _, _), row in rows.items():
        is_vtf = "VTB" in system or "VTF" in system
        assert (row["protocol"], row["threshold"]) == (("vtf", "0.45") if is_vtf else ("videopar", "0.5"))


def test_a_run_on_the_papers_test_split_stands_beside_published_rows_and_its_prior(tmp_path):
    make_mars_run(tmp_path, "mars-a")
    report = build_report([], tmp_path)
    (section,) = report.sections
    assert [s.source for s in section.systems] == ["published"] * 7 + ["prior", "run"]
    vtf = tables(report)["Table 2. MARS: F1 of each group under vtf, probability > 0.45, in percent"]
    assert vtf.header == ("Group", "CLIP-VTF, published", "prior", "mars-a")
    assert [row[0] for row in vtf.rows] == [*(group.name for group in MARS.groups), "average"]
    videopar = tables(report)["Table 2. MARS: F1 of each group under videopar, in percent"]
    assert len(videopar.header) == 7
    assert column(videopar, "VideoPAR (video), published")["age"] == "40.21"


def test_numbers_of_a_run_are_those_in_its_metrics(tmp_path):
    folder = make_run(tmp_path, "demo-a")
    stored = json.loads((folder / "metrics.json").read_text())["scores"]
    report = build_report([folder], tmp_path)
    (first,) = (table for title, table in tables(report).items() if title.startswith("Table 1"))
    for title, protocol, metric in (("vtf P", "vtf", "precision"), ("videopar acc", "videopar", "accuracy")):
        assert column(first, title)["demo-a"] == f"{100 * stored[protocol]['average'][metric]:.2f}"
    for row in csv_rows(report):
        if row["system"] == "demo-a" and row["group"] == "pose":
            expected = stored[row["protocol"]]["groups"]["pose"][row["metric"]]
            assert row["value"] == f"{100 * expected:.2f}"
    systems = json.loads(render(report, "json"))["sections"][0]["systems"]
    assert systems[1]["scores"]["vtf"]["average"]["f1"] == round(100 * stored["vtf"]["average"]["f1"], 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset": "demo", "schema": MARS},
        {"dataset": "demo", "schema": MARS, "n": 8062},
        {"dataset": "folder"},
        {"dataset": "mars", "schema": MARS, "n": 28},
        {"dataset": "mars", "schema": SMALL, "n": 8062},
        {"dataset": "mars", "schema": DUKE, "n": 8062},
        {"dataset": "MARS", "schema": MARS, "n": 24},
    ],
)
def test_no_published_row_stands_beside_another_dataset_split_or_schema(tmp_path, fields):
    make_run(tmp_path, "a", **fields)
    (section,) = build_report([], tmp_path).sections
    assert [system.source for system in section.systems] == ["prior", "run"]
    assert section.dataset not in ("MARS", "DUKE")
    assert (fields["dataset"].lower() == "mars") == any("no published row" in line for line in section.remarks)


def test_a_test_split_that_lacks_a_few_damaged_tracklets_is_still_the_papers_and_says_so(tmp_path):
    make_mars_run(tmp_path, "a", n=8060)
    (section,) = build_report([], tmp_path).sections
    assert section.dataset == "MARS (8060 test tracklets of 6 people)"
    assert section.systems[0].source == "published"


def test_runs_that_cannot_be_compared_are_in_tables_of_their_own(tmp_path):
    make_run(tmp_path, "a")
    make_run(tmp_path, "b", n=48)
    make_run(tmp_path, "c", schema=MARS)
    make_run(tmp_path, "d", seed=1)
    sections = build_report([], tmp_path).sections
    names = [[s.name for s in section.systems if s.source == "run"] for section in sections]
    assert names == [["a", "d"], ["b"], ["c"]]


def test_no_table_holds_two_protocols_in_one_column(tmp_path):
    make_mars_run(tmp_path, "mars-a", selected=0.37)
    report = build_report([], tmp_path)
    by_name = {(r["system"], r["protocol"], r["group"], r["metric"]): r["value"] for r in csv_rows(report)}
    for title, table in tables(report).items():
        for row in table.rows:
            for heading, cell in zip(table.header[table.num_labels :], row[table.num_labels :], strict=True):
                if cell == "–":
                    continue
                if title.startswith("Table 1"):
                    protocol, short = heading.split()
                    system, group = row[0], "average"
                    metric = {"P": "precision", "R": "recall", "F1": "f1", "acc": "accuracy"}[short]
                else:
                    protocol = "videopar" if "under videopar" in title else "vtf"
                    system, group, metric = heading.removesuffix(", published"), row[0], "f1"
                if "(threshold" in system:
                    assert protocol == "vtf"
                    protocol = "vtf_selected"
                system = re.sub(r" \(threshold.*", "", system)
                assert by_name[system, protocol, group, metric] == cell


def test_a_selected_threshold_has_rows_and_a_table_of_its_own_with_its_own_prior(tmp_path):
    make_run(tmp_path, "a", selected=0.2)
    make_run(tmp_path, "b", seed=1)
    report = build_report([], tmp_path)
    first, vtf, _, selected = tables(report).values()
    assert [row[0] for row in first.rows] == [
        "prior",
        "a",
        "b",
        "prior (threshold 0.2)",
        "a (threshold 0.2 chosen on validation people)",
    ]
    assert all(row[-2:] == ("–", "–") for row in first.rows[3:])
    assert vtf.header == ("Group", "prior", "a", "b")
    assert "threshold chosen on validation people" in selected.title
    assert selected.header == ("Group", *(row[0] for row in first.rows[3:]))
    prior = column(first, "vtf F1")
    assert prior["prior"] == "0.00" != prior["prior (threshold 0.2)"]
    keys = {(r["system"], r["protocol"], r["threshold"]) for r in csv_rows(report)}
    assert ("a", "vtf_selected", "0.2") in keys
    assert ("b", "vtf_selected", "0.2") not in keys


def test_a_selected_threshold_equal_to_the_papers_stays_apart(tmp_path):
    make_run(tmp_path, "a", selected=0.45)
    keys = [(r["system"], r["protocol"]) for r in csv_rows(build_report([], tmp_path)) if r["group"] == "hat"]
    assert keys.count(("a", "vtf")) == keys.count(("a", "vtf_selected")) == 5


def test_runs_with_one_prior_share_its_row_and_others_name_whose_it_is(tmp_path):
    for name, prior in (("a", 0.3), ("b", 0.3), ("c", 0.6)):
        make_run(tmp_path, name, prior=prior, seed=ord(name))
    (section,) = build_report([tmp_path / "a", tmp_path / "b"], tmp_path).sections
    assert [s.name for s in section.systems] == ["prior", "a", "b"]
    (section,) = build_report([], tmp_path).sections
    assert [s.name for s in section.systems] == ["prior of a, b", "prior of c", "a", "b", "c"]


def test_random_weights_are_marked_wherever_the_numbers_of_the_run_appear(tmp_path):
    make_run(tmp_path, "z-run", weights="random:0", random_weights=True, selected=0.3)
    make_run(tmp_path, "b")
    report = build_report([], tmp_path)
    for table in tables(report).values():
        for text in (*table.header, *(row[0] for row in table.rows)):
            assert "random weights" in text or not text.startswith("z-run")
            assert "random weights" not in text or text.startswith("z-run")
    assert {row["weights"] for row in csv_rows(report) if row["system"] == "z-run"} == {"random:0"}
    systems = json.loads(render(report, "json"))["sections"][0]["systems"]
    assert {s["system"] for s in systems if s["random_weights"]} == {"z-run"}
    assert any(note.startswith("random weights") for note in report.footnotes)


def test_runs_of_one_name_are_told_apart_by_their_folder(tmp_path):
    folders = [make_run(tmp_path / root, "a", seed=i) for i, root in enumerate(("x", "y"))]
    (section,) = build_report(folders, tmp_path).sections
    assert [s.name for s in section.systems[1:]] == [f"a in {folder}" for folder in folders]


def test_runs_keep_the_order_given_and_otherwise_go_by_dataset_and_name(tmp_path):
    for name, dataset in (("b", "demo"), ("a", "demo"), ("c", "clips")):
        make_run(tmp_path, name, dataset=dataset, seed=ord(name))
    names = [s.name for section in build_report([], tmp_path).sections for s in section.systems]
    assert names == ["prior", "c", "prior", "a", "b"]
    (section,) = build_report([tmp_path / "b", tmp_path / "a"], tmp_path).sections
    assert [s.name for s in section.systems] == ["prior", "b", "a"]


def test_an_unfinished_run_is_left_out_with_a_note(tmp_path):
    make_run(tmp_path, "a")
    (make_run(tmp_path, "b") / "metrics.json").unlink()
    report = build_report([], tmp_path)
    assert [s.name for s in report.sections[0].systems] == ["prior", "a"]
    assert report.notes == (f"left out, not finished (no metrics.json): b in {tmp_path}",)


def test_a_run_in_the_making_is_not_looked_at(tmp_path):
    make_run(tmp_path, "a")
    write(make_run(tmp_path, ".b.123.partial") / "metrics.json", [])
    report = build_report([], tmp_path)
    assert [s.name for s in report.sections[0].systems] == ["prior", "a"]
    assert report.notes == ()


def test_footnotes_speak_only_of_what_is_in_the_tables(tmp_path):
    def starts(report):
        return [line.split(":")[0] for line in report.footnotes]

    assert starts(build_report([], tmp_path)) == ["vtf", "videopar", "published", "MARS"]
    make_run(tmp_path, "a")
    assert starts(build_report([], tmp_path)) == ["vtf", "videopar", "prior"]


def test_a_damaged_run_is_an_error_that_names_it(tmp_path):
    make_run(tmp_path, "a")
    write(make_run(tmp_path, "b") / "metrics.json", [])
    with pytest.raises(CacheError, match=r"b/metrics.json: got \[\]"):
        build_report([], tmp_path)


def test_the_cost_of_an_end_to_end_epoch_is_told_only_where_measured(tmp_path):
    make_run(tmp_path, "a", epoch_seconds_per_tracklet=0.01, encode_seconds_per_tracklet=0.99)
    make_run(tmp_path, "b", seed=1)
    (section,) = build_report([], tmp_path).sections
    (remark,) = section.remarks
    assert remark.startswith("a: an epoch of 96 tracklets")
    assert remark.endswith("100 times as much")


def test_the_papers_faults_are_told_and_not_repeated(tmp_path):
    report = build_report([], tmp_path)
    text = render(report, "markdown")
    for needed in ("not re-run here", "side by side", "Improvements", "vtf:", "videopar:", "89.69"):
        assert needed in text
    for wrong in ("+0.60", "+0.53", "16,522"):
        assert wrong not in text


def test_hostile_names_pass_through_every_format(tmp_path):
    make_run(tmp_path, "a", name="=x|[bold]\n\x1b[31m")
    report = build_report([], tmp_path)
    assert "\x1b" not in render(report, "markdown") + render(report, "csv")
    assert "'=x|[bold]" in render(report, "csv")
    assert r"=x\|\[bold\]\\n" in render(report, "markdown")
    console = Console(width=400, file=io.StringIO(), force_terminal=True, color_system=None)
    for block in rich_blocks(report.blocks(), 100):
        console.print(block)
    assert "[bold]" in console.file.getvalue()
    assert "\x1b" not in console.file.getvalue()


def test_the_made_up_predictions_differ_from_their_prior():
    probabilities, labels = predictions(SMALL, 24)
    assert probabilities.std(axis=0).min() > 0.1
    assert labels.any(axis=0).all()
