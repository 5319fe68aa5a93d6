"""What stands beside the paper's figures, and what is no reproduction of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from tests.support.fake_runs import make_mars_run, make_run
from tests.support.layers import PROJECT
from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.rendering.formats import render
from vpar_cache.rendering.tables import Part
from vpar_cache.runs.finished import PAPER_TRAIN_TRACKLETS, FinishedRun, read_run
from vpar_cache.workflows.against_paper.compare import Comparison, compare, comparison_part
from vpar_cache.workflows.against_paper.record import record_text, weights_shown

CLIP = "open_clip:ViT-B-16-quickgelu"
AS_THE_PAPER: dict[str, Any] = {
    "model": "vtf",
    "backbone": CLIP,
    "recipe": "paper",
    "settings": {"epochs": 20, "lr": 1e-3, "weight_decay": 1e-4},
    "extraction": {"frames": 6},
    "num_train": PAPER_TRAIN_TRACKLETS["mars"],
}


@pytest.fixture
def seeds(tmp_path: Path, small_paper_split: int) -> list[FinishedRun]:
    """Three made-up runs on the whole of a small MARS, with trained weights."""
    return [read_run(make_mars_run(tmp_path, f"seed-{n}", seed=n, **AS_THE_PAPER)) for n in range(3)]


class Document:
    """What is printed."""

    def __init__(self, found: Comparison) -> None:
        self.parts: Sequence[Part] = (comparison_part(found),)


def printed_figures() -> dict[tuple[str, str, str, str], float]:
    """By dataset, method, group and metric: read here without the package."""
    with (PROJECT / "vpar_cache/reporting/published.csv").open() as file:
        return {
            (row["dataset"], row["method"], row["group"], row["metric"]): float(row["value"])
            for row in csv.DictReader(file)
        }


def test_every_row_is_the_mean_of_the_seeds_beside_the_paper_and_the_best_constant(
    seeds: list[FinishedRun],
) -> None:
    found = compare("mars", seeds)
    metrics = [json.loads((run.folder / "metrics.json").read_text()) for run in seeds]
    names = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
    assert len(found.rows) == 3 + 14, "P, R and F1, and F1 of each group"
    for row in found.rows:
        where = ["average"] if row.group == "average" else ["groups", row.group]
        blocks = []
        for block in (*(m["scores"]["vtf"] for m in metrics), metrics[0]["best_constant"]["vtf"]):
            for key in where:
                block = block[key]
            blocks.append(100 * block[row.metric])
        assert row.mean == pytest.approx(mean(blocks[:3]))
        assert row.best_constant == pytest.approx(blocks[3])
        figure = printed_figures()["MARS", "CLIP-VTF", row.group, names[row.metric]]
        assert row.published == figure
        assert row.difference == pytest.approx(mean(blocks[:3]) - figure)


def test_a_run_as_the_paper_s_is_a_reproduction(seeds: list[FinishedRun]) -> None:
    found = compare("mars", seeds)
    assert (found.why_not, found.cautions) == ((), ())
    text = render(Document(found), "rich")
    assert "NO REPRODUCTION" not in text
    assert "81.94" in text


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"weights": "random:0", "random_weights": True}, "random weights"),
        ({"num_train": 8297}, "8297 train and 200 test"),
        ({"n": 199}, "8298 train and 199 test"),
        ({"backbone": "open_clip:ViT-B-32"}, "ViT-B-32"),
        ({"settings": {**AS_THE_PAPER["settings"], "epochs": 2}}, "epochs 2, not 20"),
        ({"settings": {**AS_THE_PAPER["settings"], "lr": 0.1}}, "lr 0.1"),
        ({"extraction": {"frames": 2}}, "frames 2, not 6"),
    ],
)
def test_anything_else_is_none_and_the_reason_is_said(
    change: dict[str, Any], word: str, tmp_path: Path, small_paper_split: int
) -> None:
    run = read_run(make_mars_run(tmp_path, "a", **{**AS_THE_PAPER, **change}))
    found = compare("mars", [run])
    (reason,) = found.why_not
    assert word in reason
    for format in ("rich", "markdown"):
        text = render(Document(found), format)
        shown = reason if format == "rich" else reason.partition("open_")[0]  # Markdown escapes the line below
        assert text.index("NO REPRODUCTION") < text.index(shown) < text.index("81.94")
        assert ("random weights)" in text) == ("random" in word)


@pytest.mark.parametrize(
    ("weights", "is_known"),
    [("openai", True), ("clip.pt (openai)", True), ("clip.pt", False), ("laion2b_s34b_b88k", False)],
)
def test_weights_that_are_not_known_as_the_paper_s_are_said(
    weights: str, is_known: bool, tmp_path: Path, small_paper_split: int
) -> None:
    run = read_run(make_mars_run(tmp_path, "a", **{**AS_THE_PAPER, "weights": weights}))
    cautions = compare("mars", [run]).cautions
    assert any(weights in caution for caution in cautions) != is_known
    assert any("1 of 3 seeds" in caution for caution in cautions)


def test_on_duke_a_row_without_a_figure_has_none(tmp_path: Path, small_paper_split: int) -> None:
    about = {
        **AS_THE_PAPER,
        "dataset": "duke",
        "schema": DUKE,
        "n": 200,
        "num_train": PAPER_TRAIN_TRACKLETS["duke"],
    }
    runs = [read_run(make_run(tmp_path, model, **{**about, "model": model})) for model in ("vtf", "linear")]
    found = compare("duke", runs)
    assert found.why_not == ()
    rows = {(row.system, row.group, row.metric): row for row in found.rows}
    assert rows["CLIP-VTF", "average", "f1"].published == 80.45
    assert rows["CLIP-VTF without fusion", "average", "f1"].published is None
    assert len(rows) == 6, "the paper prints no groups for DUKE"
    assert "–" in render(Document(found), "rich")


def test_a_system_of_another_protocol_is_compared_under_its_own(tmp_path: Path, small_paper_split: int) -> None:
    about = {**AS_THE_PAPER, "model": "videopar", "backbone": "timm:resnet50", "weights": "a1_in1k"}
    found = compare("mars", [read_run(make_mars_run(tmp_path, "a", **about))])
    assert {row.protocol for row in found.rows} == {"videopar"}
    assert found.rows[0].published == 72.04


@pytest.mark.parametrize(
    ("name", "is_file", "shown"),
    [
        ("openai", False, "openai"),
        ("random:0", False, "random:0"),
        ("a1_in1k", False, "a1_in1k"),
        ("alice.safetensors", False, "a file"),
        ("alice", True, "a file"),
        ("alice.pt (openai)", True, "a file (openai)"),
    ],
)
def test_the_name_of_a_file_of_weights_is_not_sent(name: str, is_file: bool, shown: str) -> None:
    assert weights_shown(name, is_file) == shown


def test_the_file_says_whether_it_is_a_reproduction(seeds: list[FinishedRun], tmp_path: Path) -> None:
    runs = [read_run(make_mars_run(tmp_path, "a", **AS_THE_PAPER, features=["/home/alice/cache/mars-clip.h5"]))]
    found = compare("mars", runs)
    whole = json.loads(record_text(found, runs, [], [], False))
    assert whole["is_reproduction"] is True
    assert "alice" not in json.dumps(whole)
    assert (
        json.loads(record_text(found, runs, [], ["vtf, recipe paper, seed 1"], False))["is_reproduction"] is False
    )
