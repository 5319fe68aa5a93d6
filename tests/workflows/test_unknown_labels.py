"""A label file with 30 % unknown cells goes all the way, and every score counts the known cells alone."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.made_up_scores import set_scores
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.cache.features import open_features
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.rendering.formats import render
from vpar_cache.reporting.report import report
from vpar_cache.reporting.score import score
from vpar_cache.runs.finished import read_run
from vpar_cache.runs.predictions import read_test_predictions
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train

SPELLINGS = ("", "-1", "NA", "NaN")
GROUPS = {name: range(columns.start, columns.stop) for name, columns in MARS.named_slices()}


def erase(labels: Path, share: float) -> None:
    """Make a share of the label cells of a MARS label file unknown."""
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    chance = random.Random(0)
    for row in rows:
        for group in GROUPS:
            if chance.random() < share:
                row[group] = chance.choice(SPELLINGS)
    with labels.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_a_label_file_with_unknown_cells_trains_scores_and_reports(
    tmp_path: Path, demo_root: Path, extract_config: Callable[..., ExtractConfig]
) -> None:
    root = tmp_path / "mars"
    shutil.copytree(demo_root, root)
    erase(root / "mars_attributes.csv", 0.3)
    index = extract(extract_config(tmp_path / "cache" / "mars.h5", root=root)).index
    features = open_features(index)
    assert 0.2 < 1 - features.known.mean() < 0.4
    settings = {"epochs": 2, "dim": 32, "heads": 2, "recipe": "paper", "device": "cpu"}
    folder = train(TrainConfig(features=index, runs=tmp_path / "runs", **settings)).folder
    run = read_run(folder)
    found = read_test_predictions(run)
    rows = features.rows_of("test")
    assert (found.known == features.known[rows]).all()
    assert sum(run.unknown.values()) == sum(int((~found.known[:, g.start]).sum()) for g in GROUPS.values())
    said = found.probabilities > np.float32(0.45)  # (N, A)

    def sets(i: int, outputs: range) -> tuple[set[int], set[int]]:
        return {a for a in outputs if said[i, a]}, {a for a in outputs if found.labels[i, a]}

    f1 = []
    for outputs in GROUPS.values():
        known = [i for i in range(len(rows)) if found.known[i, outputs.start]]
        if known and len(outputs) > 1:
            f1.append(np.mean([set_scores(*sets(i, outputs))[2] for i in known]))
        elif known:
            both = [sets(i, outputs) for i in known]
            f1.append(set_scores(*({i for i, pair in enumerate(both) if pair[k]} for k in (0, 1)))[2])
    assert run.scores["vtf"].average["f1"] == pytest.approx(np.mean(f1))
    whole = range(MARS.num_outputs)
    each = [
        set_scores(*({a for a in one if found.known[i, a]} for one in sets(i, whole)))[2] for i in range(len(rows))
    ]
    assert run.scores["instance"].average["f1"] == pytest.approx(np.mean(each))
    again = score(folder / "predictions.parquet", MARS).evaluation
    assert again.scores == run.scores
    text = render(report([folder]), "markdown")
    assert all(f"{group} {count}" in text for group, count in run.unknown.items())
    assert "nknown test labels" in (folder / "card.md").read_text("utf-8")
