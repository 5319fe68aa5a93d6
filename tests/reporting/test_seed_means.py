"""Means over seeds: what may be averaged, and how."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_runs import make_run
from vpar_cache.metrics.scoring import THRESHOLDS
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
    assert {protocol for protocol, _ in mean.means} == {"vtf", "videopar", "pooled", "instance"}
    for (protocol, metric), found in mean.means.items():
        values = [one.scores[protocol].average[metric] for one in runs]
        assert found == pytest.approx(np.mean(values))
        assert mean.deviations[protocol, metric] == pytest.approx(np.std(values, ddof=1))
        assert mean.constants[protocol, metric] == runs[0].best_constant[protocol].average[metric]
        luck = [one.shuffled[protocol].average[metric].mean for one in runs]
        assert mean.shuffled[protocol, metric] == pytest.approx(np.mean(luck))
    assert mean.label == "CLIP-VTF (strict)"
    assert mean.runs == ("r0", "r1", "r2", "r3")
    for protocol, metrics in MEASURES.items():
        cells = dict(zip([*metrics, "shuffled"], mean.cells(protocol), strict=True))
        spread = mean.deviations[protocol, "f1"]
        assert cells["f1"] == f"{100 * mean.means[protocol, 'f1']:.2f} ± {100 * spread:.2f}"
        assert cells["shuffled"] == f"{100 * mean.shuffled[protocol, 'f1']:.2f}"


def test_every_mean_is_a_number_with_its_protocol_threshold_and_best_constant(tmp_path: Path) -> None:
    (mean,) = seed_means([run(tmp_path, f"r{seed}", seed) for seed in range(2)])
    numbers = list(mean.numbers("demo"))
    assert len(numbers) == 2 * len(mean.means)
    for number in numbers:
        assert number.threshold == THRESHOLDS[number.protocol]
        if not number.metric.endswith("_deviation"):
            key = number.protocol, number.metric
            assert (number.value, number.best_constant) == (100 * mean.means[key], 100 * mean.constants[key])
            assert number.shuffled == 100 * mean.shuffled[key]


def test_runs_without_train_labels_or_with_one_person_are_averaged_without_those_baselines(tmp_path: Path) -> None:
    fields = {"prior": None, "people": 1}
    (mean,) = seed_means([run(tmp_path, f"r{seed}", seed, **fields) for seed in range(2)])
    assert (mean.constants, mean.shuffled) == ({}, {})
    assert mean.cells("vtf")[-1] == "–"


@pytest.mark.parametrize(
    "other",
    [
        {"settings": {"lr": 0.01, "seed": 1}},
        {"model": "linear"},
        {"backbone": "timm:resnet50"},
        {"recipe": "paper"},
        {"visual_fingerprint": "g"},
        {"n": 30},
        {"first": 500},
        {"unknown": 0.3},
        {"people": 5},
    ],
)
def test_runs_that_differ_in_more_than_their_seed_are_not_averaged(
    tmp_path: Path, other: dict[str, object]
) -> None:
    means = seed_means([run(tmp_path, "a", 0), run(tmp_path, "b", 1, **other)])
    assert [mean.runs for mean in means] == [("a",), ("b",)]
    assert [mean.deviations for mean in means] == [{}, {}]


def test_random_weights_are_said_in_the_row_and_zero_shot_on_them_has_no_meaning(tmp_path: Path) -> None:
    fields = {"weights": "random:0", "random_weights": True}
    (plain,) = seed_means([run(tmp_path, "a", 0, **fields)])
    (zero,) = seed_means([run(tmp_path, "b", 0, **fields, model="zero-shot", recipe="paper")])
    assert plain.label == "CLIP-VTF (strict, random weights)"
    assert zero.label == ("zero-shot on open_clip:ViT-B-16-quickgelu (paper, random weights: without meaning)")
