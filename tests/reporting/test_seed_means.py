"""Means over seeds: what may be averaged, and how."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_runs import make_run
from vpar_cache.reporting.seed_means import MEASURES, seed_means
from vpar_cache.runs.finished import FinishedRun, read_run

CLIP = {
    "model": "vtf",
    "backbone": "open_clip:ViT-B-16-quickgelu",
    "recipe": "strict",
    "visual_fingerprint": "f",
}


def run(root: Path, name: str, seed: int, **fields: object) -> FinishedRun:
    settings = {"lr": 0.001, "seed": seed}
    return read_run(make_run(root, name, seed=seed, **{**CLIP, "settings": settings, **fields}))


def test_mean_and_sample_deviation_are_numpy_s(tmp_path: Path) -> None:
    runs = [run(tmp_path, f"r{seed}", seed) for seed in range(4)]
    (mean,) = seed_means(runs)
    for number, (_, protocol, metric) in enumerate(MEASURES):
        values = [one.scores[protocol].average[metric] for one in runs]
        assert mean.means[number] == pytest.approx(np.mean(values))
        assert mean.deviations is not None
        assert mean.deviations[number] == pytest.approx(np.std(values, ddof=1))
    assert mean.label == "CLIP-VTF (strict)"
    assert mean.runs == ("r0", "r1", "r2", "r3")
    assert " ± " in mean.cells()[2]


@pytest.mark.parametrize(
    "other",
    [
        {"settings": {"lr": 0.01, "seed": 1}},
        {"model": "linear"},
        {"backbone": "timm:resnet50"},
        {"recipe": "paper"},
        {"visual_fingerprint": "g"},
        {"n": 30},
    ],
)
def test_runs_that_differ_in_more_than_their_seed_are_not_averaged(
    tmp_path: Path, other: dict[str, object]
) -> None:
    means = seed_means([run(tmp_path, "a", 0), run(tmp_path, "b", 1, **other)])
    assert [mean.runs for mean in means] == [("a",), ("b",)]
    assert [mean.deviations for mean in means] == [None, None]


def test_random_weights_are_said_in_the_row_and_zero_shot_on_them_has_no_meaning(tmp_path: Path) -> None:
    fields = {"weights": "random:0", "random_weights": True}
    (plain,) = seed_means([run(tmp_path, "a", 0, **fields)])
    (zero,) = seed_means([run(tmp_path, "b", 0, **fields, model="zero-shot", recipe="paper")])
    assert plain.label == "CLIP-VTF (strict, random weights)"
    assert zero.label == ("zero-shot on open_clip:ViT-B-16-quickgelu (paper, random weights: without meaning)")
