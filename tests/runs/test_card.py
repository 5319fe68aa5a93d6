"""The card says what a run was made of, what it scored, and what it must not be used for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vpar_cache.runs.card import model_card
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train


@pytest.fixture(scope="module")
def run(tiny_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings: dict[str, Any] = {"dim": 32, "heads": 2, "epochs": 1, "device": "cpu", "recipe": "paper"}
    root = tmp_path_factory.mktemp("runs")
    return train(TrainConfig(features=tiny_cache, runs=root, name="a", **settings)).folder


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text("utf-8"))


def test_the_card_is_in_the_run_folder_with_scores_intervals_prior_and_limits(run: Path) -> None:
    card = (run / "card.md").read_text("utf-8")
    metrics = read(run, "metrics.json")
    f1, prior = (metrics[key]["vtf"]["average"]["f1"] for key in ("scores", "prior"))
    low, high = metrics["intervals"]["vtf"]["average"]["f1"]
    assert f"| vtf | F1 | {100 * f1:.2f} | {100 * low:.2f} to {100 * high:.2f} | {100 * prior:.2f} |" in card
    headings = ("Data", "Recipe", "Metrics", "Limits", "Intended use", "Unacceptable use")
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == list(headings)
    assert "Random weights" in card


def test_names_from_files_do_not_act_in_the_card(run: Path) -> None:
    record = read(run, "run.json") | {"name": "a|b <script>*x*", "dataset": "[d](http://x)"}
    card = model_card(record, read(run, "metrics.json"))
    assert "<script>" not in card
    assert r"a\|b \<script\>\*x\*" in card
    assert "[d](http" not in card


def test_one_person_alone_has_no_interval(run: Path) -> None:
    metrics = read(run, "metrics.json")
    metrics["intervals"] = {**metrics["intervals"], "vtf": None, "videopar": None}
    card = model_card(read(run, "run.json"), metrics)
    assert "One person alone gives no interval" in card
    assert "| – |" in card
