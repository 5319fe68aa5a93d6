"""The main job: tracklets in, tables out, through the same calls as the three commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.metrics.scoring import PROTOCOLS
from vpar_cache.rendering.formats import render
from vpar_cache.reporting.report import report
from vpar_cache.reporting.score import score
from vpar_cache.runs.load import load_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train
from vpar_cache.workflows.demo import DemoConfig, run_demo


@pytest.mark.slow
def test_a_model_learns_from_cached_features_and_the_report_shows_it_beside_what_sees_no_image(
    tmp_path: Path, extract_config: Callable[..., ExtractConfig]
) -> None:
    size = DemoSize(train_people=60, test_people=24, tracklets_per_person=2, frames=3)
    root = write_demo(tmp_path / "tracklets", size, 0)
    index = extract(extract_config(tmp_path / "demo.h5", root=root, shard_size=None)).index
    runs = tmp_path / "runs"
    result = train(
        TrainConfig(features=index, runs=runs, dim=64, heads=4, epochs=30, lr=2e-3, recipe="paper", device="cpu")
    )
    scores, shuffled = result.metrics["scores"], result.metrics["shuffled"]
    assert {name: found["average"]["f1"]["p"] < 0.01 for name, found in shuffled.items()} == dict.fromkeys(
        scores, True
    )
    tables = report([], runs)
    shown = {n.value for n in tables.numbers if n.system.startswith(result.folder.name) and n.metric == "f1"}
    assert 100 * scores["vtf"]["average"]["f1"] in shown
    assert result.folder.name in render(tables, "markdown")
    again = score(result.folder / "predictions.parquet", load_run(result.folder).schema)
    assert again.evaluation.scores["vtf"].average["f1"] == scores["vtf"]["average"]["f1"]


@pytest.mark.slow
def test_the_real_crops_go_through_the_real_vit_b_16(real_data: Path, tmp_path: Path) -> None:
    index = extract(
        ExtractConfig(
            dataset="mars",
            root=real_data / "vtest_mars",
            out=tmp_path / "mars.h5",
            weights="random:0",
            devices=("cpu",),
        )
    ).index
    with h5py.File(index) as file:
        assert file["visual"].shape == (28, 197, 512)
        assert file["text/embeddings"].shape == (43, 512)
        assert not (file["visual"][()] != file["visual"][()]).any(), "a virtual source is missing"
    metrics = train(TrainConfig(features=index, runs=tmp_path / "runs", epochs=2, device="cpu")).metrics
    assert metrics["num_tracklets"] == 14


@pytest.mark.slow
def test_the_demo_makes_tables_and_a_picture_and_its_model_learns_from_the_pictures(tmp_path: Path) -> None:
    result = run_demo(DemoConfig(out=tmp_path / "demo", device="cpu"))
    assert result.picture.read_bytes().startswith(b"\x89PNG")
    metrics = result.run.metrics
    f1, constant = (metrics[name]["vtf"]["average"]["f1"] for name in ("scores", "best_constant"))
    assert f1 - constant >= 0.12
    assert all(metrics["shuffled"][protocol]["average"]["f1"]["p"] < 0.01 for protocol in PROTOCOLS)
    assert metrics["scores"]["vtf"]["average"]["mA"] >= 0.68
    assert "best constant" in result.verdict
    assert result.right.right > result.right.constant + 0.05 * result.right.people * result.right.groups
