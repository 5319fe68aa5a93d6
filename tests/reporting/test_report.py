"""The report: which numbers may stand beside which."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.fake_runs import SMALL, make_mars_run, make_run, write
from tests.support.hostile_files import assert_refused, call_vpar
from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.metrics.verdict import verdict
from vpar_cache.rendering.formats import render
from vpar_cache.rendering.tables import Notes, Table
from vpar_cache.reporting.report import Report, Section
from vpar_cache.reporting.report import report as make_report
from vpar_cache.runs.finished import read_run

QUALITY = replace(SMALL, quality=("occlusion",))


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
    assert any("vpar extract" in note and "published rows only" in note for note in report.notes)
    assert {number.source for number in report.numbers} == {"published", "constant"}


def test_a_run_on_the_papers_test_split_stands_beside_published_rows_and_its_best_constant(
    tmp_path, small_paper_split
):
    make_mars_run(tmp_path, "mars-a")
    report = make_report([], tmp_path)
    (section,) = report.sections
    assert section.place == "MARS"
    assert systems(section)[-3:] == ["best constant", "mars-a", "prior"]
    assert systems(section, "published") == systems(make_report([], tmp_path / "none").sections[0], "published")
    vtf = table(report, "Table 2. MARS", "under vtf, probability > 0.45")
    assert vtf.header == ("Group", "CLIP-VTF (published)", "best constant", "mars-a")
    assert [row[0] for row in vtf.rows] == [*(group.name for group in MARS.groups), "average"]
    assert vtf.last_is_average
    videopar = table(report, "Table 2. MARS", "under videopar")
    assert column(videopar, "VideoPAR (video) (published)")["age"] == "40.21"
    assert column(table(report, "Table 2. MARS", "under pooled"), "mars-a").keys() == column(vtf, "mars-a").keys()
    assert not [title for title in tables(report) if title.startswith("Table 2") and "instance" in title]


def test_every_number_of_a_run_with_a_protocol_has_its_best_constant(tmp_path):
    make_run(tmp_path, "a", schema=QUALITY, n=60, selected=0.3, details=True, unknown=0.3)
    history = pa.table({"train_loss": [1.0], "validation_loss": [1.0], "validation_f1": [0.4]})
    pq.write_table(history, tmp_path / "a" / "history.parquet")
    numbers = [n for n in make_report([], tmp_path, details=True).numbers if n.source == "run"]
    assert {n.table for n in numbers if n.protocol} == {
        "averages", "groups", "outputs", "threshold_curve", "confusion", "parts_quality", "parts_camera",
        "parts_length", "validation", "training",
    }  # fmt: skip
    for number in numbers:
        is_score = bool(number.protocol) and number.unit == "percent"
        assert (number.best_constant is not None) == is_score, number
        assert not is_score or number.threshold is not None
        of_parts = number.table == "groups" or number.table.startswith("parts")
        shuffled = number.table in ("averages", "validation") or (of_parts and number.metric == "f1")
        assert (number.shuffled is not None) == (number.p is not None) == shuffled, number


def test_without_train_labels_no_number_has_a_best_constant_and_nothing_else_is_lost(tmp_path):
    make_run(tmp_path, "a", schema=QUALITY, n=60, details=True, prior=None)
    report = make_report([], tmp_path, details=True)
    assert {n.source for n in report.numbers} == {"run"}
    for number in (n for n in report.numbers if n.best_constant is not None):
        assert number.table == "outputs" or (number.metric, number.best_constant) == ("mA", 50), "no train label"
    assert any(n.p is not None for n in report.numbers)


def test_the_best_constant_of_a_number_is_that_of_its_own_protocol_group_and_metric(tmp_path):
    folder = make_run(tmp_path, "a", selected=0.2)
    stored = json.loads((folder / "metrics.json").read_text())
    numbers = make_report([], tmp_path).numbers
    rows = {
        (n.protocol, n.group, n.metric): n.value for n in numbers if n.source == "constant" and n.table != "prior"
    }
    for number in (n for n in numbers if n.source == "run"):
        key = number.protocol, number.group, number.metric
        block = stored["best_constant"][number.protocol]
        scores = block["average"] if number.group == "average" else block["groups"][number.group]
        own = key if number.protocol != "vtf_selected" else ("vtf", *key[1:])
        assert number.best_constant == 100 * scores[number.metric] == rows[own]
        if number.group == "average":
            luck = stored["shuffled"][number.protocol]["average"][number.metric]
            assert (number.shuffled, number.p) == (100 * luck["mean"], luck["p"])
            assert (number.shuffled_low, number.shuffled_high) == (100 * luck["low"], 100 * luck["high"])


def test_numbers_of_a_run_are_those_in_its_metrics_with_its_test_tracklets(tmp_path):
    folder = make_run(tmp_path, "demo-a")
    stored = json.loads((folder / "metrics.json").read_text())["scores"]
    report = make_report([folder], tmp_path)
    for title, protocol, metric in (
        ("P", "vtf", "precision"),
        ("mA", "vtf", "mA"),
        ("acc", "videopar", "accuracy"),
        ("F1", "pooled", "f1"),
        ("acc", "instance", "accuracy"),
    ):
        found = column(table(report, "Table 1", f"under {protocol}"), title)
        assert found["demo-a"] == f"{100 * stored[protocol]['average'][metric]:.2f}"
    for number in report.numbers:
        if number.source == "run":
            block = stored[number.protocol]
            scores = block["average"] if number.table == "averages" else block["groups"][number.group]
            assert (number.value, number.n) == (100 * scores[number.metric], 24)


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset": "demo", "schema": MARS, "n": 200},
        {"dataset": "mars", "schema": MARS, "n": 28},
        {"dataset": "mars", "schema": SMALL, "n": 200},
        {"dataset": "mars", "schema": DUKE, "n": 200},
        {"dataset": "MARS", "schema": MARS, "n": 24},
    ],
)
def test_no_published_row_stands_beside_another_dataset_split_or_schema(tmp_path, small_paper_split, fields):
    make_run(tmp_path, "a", **fields)
    report = make_report([], tmp_path)
    assert {number.source for number in report.numbers} == {"constant", "prior", "run"}
    assert report.sections[0].place not in ("MARS", "DUKE")
    is_mars = fields["dataset"].lower() == "mars"
    assert is_mars == ("no published row" in render(report, "markdown"))


def test_a_test_split_that_lacks_a_few_damaged_tracklets_is_still_the_papers_and_says_so(
    tmp_path, small_paper_split
):
    make_mars_run(tmp_path, "a", n=199)
    (section,) = make_report([], tmp_path).sections
    assert section.place == "MARS (199 test tracklets of 6 people)"
    assert section.numbers[0].source == "published"


def test_runs_that_cannot_be_compared_are_in_tables_of_their_own(tmp_path):
    make_run(tmp_path, "a")
    make_run(tmp_path, "b", n=48)
    make_run(tmp_path, "c", schema=MARS)
    make_run(tmp_path, "d", seed=1)
    sections = make_report([], tmp_path).sections
    assert [systems(section, "run") for section in sections] == [["a", "d"], ["b"], ["c"]]


def test_runs_on_other_rows_of_equal_counts_are_in_tables_that_can_be_told_apart(tmp_path, small_paper_split):
    for name, fields in {
        "fold-1": {"seed": 0},
        "fold-2": {"first": 500},
        "unknown": {"unknown": 0.3},
        "others": {"dataset": "other"},
    }.items():
        make_run(tmp_path, name, **fields)
    sections = make_report([], tmp_path).sections
    assert [systems(section, "run") for section in sections] == [["fold-1", "others"], ["fold-2"], ["unknown"]]
    places = [section.place for section in sections]
    assert len(set(places)) == 3
    assert all(place.startswith("demo (24 test tracklets of 6 people), rows ") for place in places)
    titles = list(tables(make_report([], tmp_path)))
    assert len(titles) == len(set(titles))


def test_two_test_splits_that_both_pass_for_the_papers_stay_apart(tmp_path, small_paper_split):
    make_mars_run(tmp_path, "a")
    make_mars_run(tmp_path, "b", first=500)
    places = [section.place for section in make_report([], tmp_path).sections]
    assert len(set(places)) == 2
    assert all(place.startswith("MARS, rows ") for place in places)


def test_every_cell_is_the_number_of_the_protocol_that_its_table_names(tmp_path, small_paper_split):
    make_mars_run(tmp_path, "mars-a", selected=0.37)
    report = make_report([], tmp_path, details=True)
    rules = {
        "under vtf at a threshold chosen": "vtf_selected",
        "under vtf, probability": "vtf",
        "under videopar": "videopar",
        "under pooled": "pooled",
        "under instance": "instance",
    }
    numbers = [n for n in report.numbers if n.table in ("averages", "groups")]
    headings = {
        "P": ("precision", "value"), "R": ("recall", "value"), "F1": ("f1", "value"), "acc": ("accuracy", "value"),
        "mA": ("mA", "value"), "F1 of means": ("f1_of_means", "value"), "p": ("f1", "p"),
        "F1 shuffled": ("f1", "shuffled"),
    }  # fmt: skip
    seen = set()
    for part in report.parts[:1]:
        for found in (block for block in part.blocks if isinstance(block, Table)):
            (protocol,) = {name for rule, name in rules.items() if rule in found.title}
            seen.add(protocol)
            is_first = found.title.startswith("Table 1")
            for row in found.rows:
                for heading, shown in zip(found.header[1:], row[1:], strict=True):
                    if heading.endswith("95 %"):
                        continue
                    label, group = (row[0], "average") if is_first else (heading, row[0])
                    metric, field = headings[heading] if is_first else ("f1", "value")
                    digits = 3 if field == "p" else 2
                    values = {
                        f"{getattr(n, field):.{digits}f}"
                        for n in numbers
                        if (n.protocol, n.group, n.metric) == (protocol, group, metric)
                        and label.startswith(n.system)
                        and getattr(n, field) is not None
                    }
                    assert shown in (values or {"–"}), (found.title, row[0], heading)
    assert seen == set(rules.values())


def test_bars_show_how_much_of_each_number_the_constant_reaches(tmp_path):
    make_run(tmp_path, "a")
    report = make_report([], tmp_path)
    found = table(report, "Table 1", "under vtf")
    run = next(i for i, row in enumerate(found.rows) if row[0] == "a")
    for heading, metric in (("P", "precision"), ("F1", "f1"), ("mA", "mA")):
        (number,) = (
            n for n in report.numbers
            if (n.source, n.protocol, n.group, n.metric) == ("run", "vtf", "average", metric)
        )  # fmt: skip
        share = found.bars[run][found.header.index(heading)]
        assert share == min(1, number.best_constant / number.value)
    assert found.bars[run][found.header.index("F1 shuffled")] is None
    constant = next(i for i, row in enumerate(found.rows) if row[0] == "best constant")
    assert set(found.bars[constant]) == {None}


def test_a_selected_threshold_has_tables_of_its_own_beside_the_constants_own_choice(tmp_path):
    make_run(tmp_path, "a", selected=0.2)
    make_run(tmp_path, "b", seed=1)
    report = make_report([], tmp_path)
    selected = table(report, "Table 1", "at a threshold chosen on validation people")
    assert [row[0] for row in selected.rows] == ["best constant", "a"], "a constant has no threshold"
    assert selected.caption == "All runs: threshold 0.2."
    vtf = table(report, "Table 1", "vtf, probability > 0.45")
    assert [row[0] for row in vtf.rows] == ["best constant", "a", "b"]
    (constant,) = (row for row in selected.rows if row[0].startswith("best constant"))
    assert constant[selected.header.index("F1")] == column(vtf, "F1")["best constant"]
    keys = {(n.system, n.protocol, n.threshold) for n in report.numbers}
    assert ("a", "vtf_selected", 0.2) in keys
    assert ("b", "vtf_selected", 0.2) not in keys


def test_runs_with_one_prior_share_its_remark_and_others_name_whose_it_is(tmp_path):
    for name, prior in (("a", 0.3), ("b", 0.3), ("c", 0.6)):
        make_run(tmp_path, name, prior=prior, seed=ord(name))
    (section,) = make_report([tmp_path / "a", tmp_path / "b"], tmp_path).sections
    assert systems(section) == ["best constant", "a", "b", "prior"]
    (section,) = make_report([], tmp_path).sections
    assert systems(section) == ["best constant", "a", "b", "c", "prior of a, b", "prior of c"]
    assert any("prior" in remark and "no measure" in remark for remark in section.remarks)
    assert not [title for title in tables(make_report([], tmp_path)) if "prior" in title]


def test_runs_of_other_train_labels_have_a_best_constant_each(tmp_path):
    make_run(tmp_path, "a")
    folder = make_run(tmp_path, "b", seed=1)
    stored = json.loads((folder / "metrics.json").read_text())
    stored["best_constant"]["vtf"]["average"]["f1"] = 0.25
    write(folder / "metrics.json", stored)
    report = make_report([], tmp_path)
    vtf = column(table(report, "Table 1", "under vtf"), "F1")
    assert list(vtf) == ["best constant of a", "best constant of b", "a", "b"]
    assert vtf["best constant of b"] == "25.00"
    assert list(column(table(report, "Table 1", "under pooled"), "F1")) == ["best constant", "a", "b"]


def test_every_run_is_said_to_be_above_what_sees_no_image_or_not(tmp_path):
    make_run(tmp_path, "a")
    make_run(tmp_path, "b", prior=None, people=1, seed=1)
    first, second = make_report([], tmp_path).sections
    assert first.verdicts == (f"a: {verdict(read_run(tmp_path / 'a'))}",)
    assert "best constant" in first.verdicts[0]
    assert second.verdicts == (), "nothing to be read against"
    notes = first.part(with_details=False).blocks[0]
    assert isinstance(notes, Notes)
    assert notes.lines == first.verdicts, "above the tables"


def test_unknown_labels_and_people_that_are_not_known_are_said_beside_the_tables(tmp_path):
    make_run(tmp_path, "a", unknown=0.3, people=None)
    counts = json.loads((tmp_path / "a" / "metrics.json").read_text())["unknown"]
    (section,) = make_report([], tmp_path).sections
    said = " ".join(section.remarks)
    assert f"hat {counts['hat']}, pose {counts['pose']}" in said
    assert "over tracklets" in said


def test_what_all_runs_share_is_in_the_caption_and_the_rest_beside_each_name(tmp_path):
    clip = {"model": "vtf", "backbone": "open_clip:ViT-B-16-quickgelu", "recipe": "strict"}
    make_run(tmp_path, "a", **clip)
    make_run(tmp_path, "b", seed=1, **{**clip, "model": "linear"})
    vtf = table(make_report([], tmp_path), "Table 1", "under vtf")
    assert vtf.caption == "All runs: strict."
    assert [row[0] for row in vtf.rows] == ["best constant", "a (CLIP-VTF)", "b (CLIP-VTF without fusion)"]


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
        make_run(tmp_path, name, dataset=dataset, seed=ord(name), first=500 * (name == "c"))
    assert [systems(section, "run") for section in make_report([], tmp_path).sections] == [["c"], ["a", "b"]]
    (section,) = make_report([tmp_path / "b", tmp_path / "a"], tmp_path).sections
    assert systems(section, "run") == ["b", "a"]


def test_an_unfinished_run_is_left_out_with_a_note_and_one_being_written_is_not_looked_at(tmp_path):
    make_run(tmp_path, "a")
    (make_run(tmp_path, "b") / "metrics.json").unlink()
    write(make_run(tmp_path, ".c.123.partial") / "metrics.json", [])
    report = make_report([], tmp_path)
    assert systems(report.sections[0], "run") == ["a"]
    assert report.notes == (f"left out, not finished (no metrics.json): b in {tmp_path}",)


def test_footnotes_speak_only_of_what_is_in_the_tables(tmp_path):
    def starts(report):
        return [line.split(":")[0] for line in report.footnotes]

    protocols = ["vtf", "videopar", "pooled", "instance", "mA", "best constant"]
    assert starts(make_report([], tmp_path)) == [*protocols, "published", "MARS", "DUKE"]
    make_run(tmp_path, "a")
    assert starts(make_report([], tmp_path)) == [*protocols, "shuffled", "prior", "95 %"]


def test_the_cost_of_an_end_to_end_epoch_is_told_only_where_measured(tmp_path):
    make_run(tmp_path, "a", epoch_seconds_per_tracklet=0.01, encode_seconds_per_tracklet=0.99)
    make_run(tmp_path, "b", seed=1)
    text = render(replace(make_report([], tmp_path), with_details=True), "markdown")
    assert "a: an epoch of 96 tracklets" in text
    assert "b: an epoch" not in text
    assert "an epoch of" not in render(make_report([], tmp_path), "markdown")


@pytest.mark.parametrize("count", [1, 3, 9])
def test_names_are_whole_and_lines_fit_at_every_width(tmp_path, count):
    names = [f"mars-vtf-temporal-strict-0a1b2c{i}-of-a-long-name" for i in range(count)]
    for i, name in enumerate(names):
        make_run(tmp_path, name, seed=i, model="vtf" if i % 2 else "linear", backbone="open_clip:ViT-B-16")
    for width in (80, 100, 120):
        lines = render(make_report([], tmp_path), "rich", width).splitlines()
        assert max(map(len, lines)) <= width
        for name in names:
            assert sum(name in line for line in lines) >= 2


def test_one_is_not_many(tmp_path):
    folder = make_run(tmp_path, "a", n=1, people=1)
    assert read_run(folder).place == "demo (1 test tracklet of 1 person)"


def test_the_papers_faults_are_told_and_not_repeated(tmp_path):
    text = render(make_report([], tmp_path), "markdown")
    for needed in ("not re-run here", "side by side", "Improvements", "vtf:", "videopar:", "89.69"):
        assert needed in text
    for wrong in ("+0.60", "+0.53", "16,522"):
        assert wrong not in text


# --- damaged runs, many runs ---


def test_a_damaged_run_is_left_out_and_named_and_the_exit_status_says_so(tmp_path):
    for i in range(4):
        make_run(tmp_path / "runs", f"run-{i}", seed=i)
    (tmp_path / "runs" / "run-1" / "metrics.json").write_bytes(b"{")
    write(tmp_path / "runs" / "run-2" / "run.json", {"name": 5})
    folders = sorted((tmp_path / "runs").iterdir())
    for named in ([], folders):
        report = make_report(named, tmp_path / "runs")
        assert systems(report.sections[0], "run") == ["run-0", "run-3"]
        assert report.is_incomplete
        assert [name for name in ("run-1", "run-2") if any(name in note for note in report.notes)] == [
            "run-1", "run-2",
        ]  # fmt: skip
    done = call_vpar("report", "--runs", "runs", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.index("run-1/metrics.json") < done.stderr.index("run-2/run.json")
    assert "run-3" in done.stdout
    assert call_vpar("report", "run-0", "run-3", "--runs", "runs", folder=tmp_path).returncode == 0
    assert call_vpar("report", "run-1", "run-2", "--runs", "runs", folder=tmp_path).returncode == 2


def test_details_that_cannot_be_read_are_left_out_and_named(tmp_path):
    for i in range(2):
        make_run(tmp_path / "runs", f"run-{i}", seed=i, details=True)
    (tmp_path / "runs" / "run-0" / "history.parquet").write_bytes(b"PAR1")
    done = call_vpar("report", "--runs", "runs", "--details", folder=tmp_path)
    assert done.returncode == 1
    assert "run-0/history.parquet" in done.stderr
    assert "run-1: each output" in done.stdout


@pytest.mark.parametrize("runs", ["/dev/null", "file"])
def test_runs_that_are_no_folder_are_one_line(runs, tmp_path):
    (tmp_path / "file").write_text("")
    assert_refused(call_vpar("report", "--runs", runs, folder=tmp_path), "--runs")


@pytest.mark.slow
def test_runs_and_tables_of_a_long_report_are_in_order_and_no_two_have_one_title(tmp_path, small_paper_split):
    for i in range(1, 32):
        fields = {"schema": QUALITY, "n": 30, "selected": 0.3, "details": True} if i % 10 else {"n": 48}
        make_run(tmp_path, f"run-{i}", seed=i, **fields)
    make_mars_run(tmp_path, "mars-a", selected=0.37)
    report = make_report([], tmp_path)
    names = [name for section in report.sections for name in systems(section, "run") if name != "mars-a"]
    assert names == [f"run-{i}" for i in range(1, 32) if i % 10] + ["run-10", "run-20", "run-30"]
    whole = report.with_all_details()
    shown = [block.title for part in whole.parts for block in part.blocks if isinstance(block, Table)]
    assert len(shown) == len(set(shown)) > 31
