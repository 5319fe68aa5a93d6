"""The report: which numbers may stand beside which."""

from __future__ import annotations

import json

import pytest

from tests.support.fake_runs import SMALL, make_mars_run, make_run, write
from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.rendering.formats import render
from vpar_cache.rendering.tables import Table
from vpar_cache.reporting.report import Report, Section
from vpar_cache.reporting.report import report as make_report


def tables(report: Report) -> dict[str, Table]:
    return {block.title: block for part in report.parts for block in part.blocks if isinstance(block, Table)}


def table(report: Report, *words: str) -> Table:
    (found,) = (one for title, one in tables(report).items() if all(word in title for word in words))
    return found


def column(found: Table, title: str) -> dict[str, str]:
    index = found.header.index(title)
    return {row[0]: row[index] for row in found.rows}


def systems(section: Section, source: str = "") -> list[str]:
    return list(dict.fromkeys(n.system for n in section.numbers if source in ("", n.source)))


def test_without_runs_the_published_rows_stand_and_a_note_says_how_to_make_one(tmp_path):
    report = make_report([], tmp_path / "runs")
    assert [section.place for section in report.sections] == ["MARS", "DUKE"]
    assert any("vpar extract" in note and "no prior" in note for note in report.notes)
    assert {number.source for number in report.numbers} == {"published"}


def test_published_rows_are_those_of_the_paper_each_under_its_protocol(tmp_path):
    report = make_report([], tmp_path)
    vtf = table(report, "Table 1. MARS", "under vtf")
    assert vtf.header == ("System", "P", "R", "F1")
    assert ("CLIP-VTF (published)", "81.76", "82.95", "81.94") in vtf.rows
    assert ("VTB (published)", "77.23", "81.44", "78.83") in table(report, "Table 1. DUKE", "under vtf").rows
    videopar = table(report, "Table 1. MARS", "under videopar")
    assert column(videopar, "F1")["VideoPAR (video) (published)"] == "72.04"
    assert len(vtf.rows) + len(videopar.rows) == 7
    assert len(report.numbers) == 93
    for number in report.numbers:
        is_vtf = "VTB" in number.system or "VTF" in number.system
        assert (number.protocol, number.threshold) == (("vtf", 0.45) if is_vtf else ("videopar", 0.5))


def test_a_run_on_the_papers_test_split_stands_beside_published_rows_and_its_prior(tmp_path):
    make_mars_run(tmp_path, "mars-a")
    report = make_report([], tmp_path)
    (section,) = report.sections
    assert systems(section)[-2:] == ["prior", "mars-a"]
    assert len(systems(section, "published")) == 7
    vtf = table(report, "Table 2. MARS", "under vtf, probability > 0.45")
    assert vtf.header == ("Group", "CLIP-VTF (published)", "prior", "mars-a")
    assert [row[0] for row in vtf.rows] == [*(group.name for group in MARS.groups), "average"]
    assert vtf.last_is_average
    videopar = table(report, "Table 2. MARS", "under videopar")
    assert column(videopar, "VideoPAR (video) (published)")["age"] == "40.21"


def test_numbers_of_a_run_are_those_in_its_metrics_with_its_test_tracklets(tmp_path):
    folder = make_run(tmp_path, "demo-a")
    stored = json.loads((folder / "metrics.json").read_text())["scores"]
    report = make_report([folder], tmp_path)
    for title, protocol, metric in (("P", "vtf", "precision"), ("acc", "videopar", "accuracy")):
        found = column(table(report, "Table 1", f"under {protocol}"), title)
        assert found["demo-a"] == f"{100 * stored[protocol]['average'][metric]:.2f}"
    for number in report.numbers:
        if number.system == "demo-a":
            block = stored[number.protocol]
            scores = block["average"] if number.table == "averages" else block["groups"][number.group]
            assert (number.value, number.n) == (100 * scores[number.metric], 24)


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset": "demo", "schema": MARS, "n": 8062},
        {"dataset": "mars", "schema": MARS, "n": 28},
        {"dataset": "mars", "schema": SMALL, "n": 8062},
        {"dataset": "mars", "schema": DUKE, "n": 8062},
        {"dataset": "MARS", "schema": MARS, "n": 24},
    ],
)
def test_no_published_row_stands_beside_another_dataset_split_or_schema(tmp_path, fields):
    make_run(tmp_path, "a", **fields)
    report = make_report([], tmp_path)
    assert {number.source for number in report.numbers} == {"prior", "run"}
    assert report.sections[0].place not in ("MARS", "DUKE")
    is_mars = fields["dataset"].lower() == "mars"
    assert is_mars == ("no published row" in render(report, "markdown"))


def test_a_test_split_that_lacks_a_few_damaged_tracklets_is_still_the_papers_and_says_so(tmp_path):
    make_mars_run(tmp_path, "a", n=8060)
    (section,) = make_report([], tmp_path).sections
    assert section.place == "MARS (8060 test tracklets of 6 people)"
    assert section.numbers[0].source == "published"


def test_runs_that_cannot_be_compared_are_in_tables_of_their_own(tmp_path):
    make_run(tmp_path, "a")
    make_run(tmp_path, "b", n=48)
    make_run(tmp_path, "c", schema=MARS)
    make_run(tmp_path, "d", seed=1)
    sections = make_report([], tmp_path).sections
    assert [systems(section, "run") for section in sections] == [["a", "d"], ["b"], ["c"]]


def test_every_cell_is_the_number_of_the_protocol_that_its_table_names(tmp_path):
    make_mars_run(tmp_path, "mars-a", selected=0.37, people=1)  # no column of intervals
    report = make_report([], tmp_path)
    rules = {
        "at a threshold chosen": "vtf_selected",
        "under vtf, probability": "vtf",
        "under videopar": "videopar",
    }
    metrics = {"P": "precision", "R": "recall", "F1": "f1", "acc": "accuracy"}
    for title, found in tables(report).items():
        (protocol,) = {name for rule, name in rules.items() if rule in title}
        chosen = [number for number in report.numbers if number.protocol == protocol]
        for row in found.rows:
            for heading, cell in zip(found.header[1:], row[1:], strict=True):
                label, metric = (row[0], metrics[heading]) if title.startswith("Table 1") else (heading, "f1")
                group = "average" if title.startswith("Table 1") else row[0]
                values = {f"{n.value:.2f}" for n in chosen if label.startswith(n.system) and
                          (n.group, n.metric) == (group, metric)}  # fmt: skip
                assert cell in (values or {"–"})


def test_a_selected_threshold_has_tables_of_its_own_with_its_own_prior(tmp_path):
    make_run(tmp_path, "a", selected=0.2)
    make_run(tmp_path, "b", seed=1)
    report = make_report([], tmp_path)
    selected = table(report, "Table 1", "at a threshold chosen on validation people")
    assert [row[0] for row in selected.rows] == ["prior (threshold 0.2)", "a"]
    assert selected.caption == "All runs: threshold 0.2."
    vtf = table(report, "Table 1", "vtf, probability > 0.45")
    assert [row[0] for row in vtf.rows] == ["prior", "a", "b"]
    assert column(vtf, "F1")["prior"] == "0.00" != column(selected, "F1")["prior (threshold 0.2)"]
    keys = {(n.system, n.protocol, n.threshold) for n in report.numbers}
    assert ("a", "vtf_selected", 0.2) in keys
    assert ("b", "vtf_selected", 0.2) not in keys


def test_runs_with_one_prior_share_its_row_and_others_name_whose_it_is(tmp_path):
    for name, prior in (("a", 0.3), ("b", 0.3), ("c", 0.6)):
        make_run(tmp_path, name, prior=prior, seed=ord(name))
    (section,) = make_report([tmp_path / "a", tmp_path / "b"], tmp_path).sections
    assert systems(section) == ["prior", "a", "b"]
    (section,) = make_report([], tmp_path).sections
    assert systems(section) == ["prior of a, b", "prior of c", "a", "b", "c"]


def test_what_all_runs_share_is_in_the_caption_and_the_rest_beside_each_name(tmp_path):
    clip = {"model": "vtf", "backbone": "open_clip:ViT-B-16-quickgelu", "recipe": "strict"}
    make_run(tmp_path, "a", **clip)
    make_run(tmp_path, "b", seed=1, **{**clip, "model": "linear"})
    vtf = table(make_report([], tmp_path), "Table 1", "under vtf")
    assert vtf.caption == "All runs: strict."
    assert [row[0] for row in vtf.rows] == ["prior", "a (CLIP-VTF)", "b (CLIP-VTF without fusion)"]


@pytest.mark.parametrize("all_random", [True, False])
def test_random_weights_are_marked_in_every_table_with_numbers_of_the_run(tmp_path, all_random):
    random = {"weights": "random:0", "random_weights": True}
    make_run(tmp_path, "z-run", **random, selected=0.3)
    make_run(tmp_path, "b", seed=1, **(random if all_random else {}))
    report = make_report([], tmp_path)
    for found in tables(report).values():
        labels = [row[0] for row in found.rows] if "Table 1" in found.title else list(found.header)
        (label,) = (label for label in labels if label.startswith("z-run"))
        assert "random weights" in label + found.caption
        assert not any("random weights" in label for label in labels if not label.startswith("z-run"))
    assert {number.weights for number in report.numbers if number.system == "z-run"} == {"random:0"}
    assert any(note.startswith("random weights") for note in report.footnotes)


def test_runs_keep_the_order_given_and_otherwise_go_by_dataset_and_name(tmp_path):
    for name, dataset in (("b", "demo"), ("a", "demo"), ("c", "clips")):
        make_run(tmp_path, name, dataset=dataset, seed=ord(name))
    assert [systems(section) for section in make_report([], tmp_path).sections] == [
        ["prior", "c"],
        ["prior", "a", "b"],
    ]
    (section,) = make_report([tmp_path / "b", tmp_path / "a"], tmp_path).sections
    assert systems(section) == ["prior", "b", "a"]


def test_an_unfinished_run_is_left_out_with_a_note_and_one_being_written_is_not_looked_at(tmp_path):
    make_run(tmp_path, "a")
    (make_run(tmp_path, "b") / "metrics.json").unlink()
    write(make_run(tmp_path, ".c.123.partial") / "metrics.json", [])
    report = make_report([], tmp_path)
    assert systems(report.sections[0]) == ["prior", "a"]
    assert report.notes == (f"left out, not finished (no metrics.json): b in {tmp_path}",)


def test_footnotes_speak_only_of_what_is_in_the_tables(tmp_path):
    def starts(report):
        return [line.split(":")[0] for line in report.footnotes]

    assert starts(make_report([], tmp_path)) == ["vtf", "videopar", "published", "MARS"]
    make_run(tmp_path, "a")
    assert starts(make_report([], tmp_path)) == ["vtf", "videopar", "prior", "95 %"]


def test_the_cost_of_an_end_to_end_epoch_is_told_only_where_measured(tmp_path):
    make_run(tmp_path, "a", epoch_seconds_per_tracklet=0.01, encode_seconds_per_tracklet=0.99)
    make_run(tmp_path, "b", seed=1)
    text = render(make_report([], tmp_path), "markdown")
    assert "a: an epoch of 96 tracklets" in text
    assert "b: an epoch" not in text


def test_the_papers_faults_are_told_and_not_repeated(tmp_path):
    text = render(make_report([], tmp_path), "markdown")
    for needed in ("not re-run here", "side by side", "Improvements", "vtf:", "videopar:", "89.69"):
        assert needed in text
    for wrong in ("+0.60", "+0.53", "16,522"):
        assert wrong not in text
