"""The card says what a run was made of, what it scored, and what it must not be used for."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from vpar_cache.metrics.verdict import verdict
from vpar_cache.runs.card import model_card
from vpar_cache.runs.finished import read_run
from vpar_cache.runs.record import MetricsRecord
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train


@pytest.fixture(scope="module")
def run(tiny_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings: dict[str, Any] = {"dim": 32, "heads": 2, "epochs": 1, "device": "cpu", "recipe": "paper"}
    root = tmp_path_factory.mktemp("runs")
    return train(TrainConfig(features=tiny_cache, runs=root, name="a", **settings)).folder


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text("utf-8"))


def numbers(run: Path) -> MetricsRecord:
    found = read_run(run)
    return MetricsRecord(**{field.name: getattr(found, field.name) for field in fields(MetricsRecord)})


def test_the_card_is_in_the_run_folder_with_every_section_and_the_verdict(run: Path) -> None:
    card = (run / "card.md").read_text("utf-8")
    headings = ("Data", "Recipe", "Metrics", "Limits", "Intended use", "Unacceptable use")
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == list(headings)
    assert "Random weights" in card
    assert verdict(numbers(run)) in card
    assert "All test labels are known." in card


def test_every_score_stands_with_its_interval_its_best_constant_and_its_shuffled_predictions(run: Path) -> None:
    card = (run / "card.md").read_text("utf-8")
    found = numbers(run)
    rows = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| ")]
    headings = [row for row in rows if row[0] in ("protocol", "group")]
    assert [row[-4:] for row in headings] == [["95 %", "best constant", "shuffled", "p"]] * 2
    cells = {(row[0].split(" ")[0], row[1]): row[2:] for row in rows if "(above" in row[0]}
    for protocol, scores in found.scores.items():
        for metric, heading in (("f1", "F1"), ("mA", "mA"), ("accuracy", "accuracy")):
            if metric not in scores.average:
                continue
            luck = found.shuffled[protocol].average[metric]
            low, high = found.intervals.protocols[protocol].average[metric]
            assert cells[protocol, heading] == [
                f"{100 * scores.average[metric]:.2f}",
                f"{100 * low:.2f} to {100 * high:.2f}",
                f"{100 * found.best_constant[protocol].average[metric]:.2f}",
                f"{100 * luck.mean:.2f}",
                f"{luck.p:.3f}",
            ]
    groups = {row[0]: row[1:] for row in rows if row[0] in found.scores["vtf"].groups}
    assert len(groups) == 14
    for group, row in groups.items():
        assert row[0] == f"{100 * found.scores['vtf'].groups[group]['f1']:.2f}"
        assert row[2] == f"{100 * found.best_constant['vtf'].groups[group]['f1']:.2f}"


def test_unknown_labels_are_counted_by_group_and_people_that_are_not_known_are_said(run: Path) -> None:
    found = replace(numbers(run), unknown={"hat": 3, "pose": 1}, num_people=None)
    card = model_card(read(run, "run.json"), {"mars": found})
    assert "Unknown test labels, which no score counts: hat 3, pose 1." in card
    assert "of unknown people" in card


def test_names_from_files_do_not_act_in_the_card(run: Path) -> None:
    record = read(run, "run.json") | {"name": "a|b <script>*x*", "dataset": "[d](http://x)"}
    card = model_card(record, {"mars": replace(numbers(run), unknown={"<img>": 1})})
    assert "<script>" not in card
    assert "<img>" not in card
    assert r"a\|b \<script\>\*x\*" in card
    assert "[d](http" not in card


@pytest.mark.parametrize("field", ["shuffled", "best_constant", "intervals"])
def test_what_a_run_has_not_is_a_dash(run: Path, field: str) -> None:
    found = numbers(run)
    empty = replace(found.intervals, protocols={}) if field == "intervals" else {}
    card = model_card(read(run, "run.json"), {"mars": replace(found, **{field: empty})})
    assert "| – |" in card
    assert verdict(replace(found, **{field: empty})) in card
