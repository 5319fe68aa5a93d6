"""run.json is enough to do a run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vpar_cache.errors import CacheError
from vpar_cache.extraction.extract import extract
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train
from vpar_cache.workflows.repeat import repeat_run


@pytest.fixture
def run(tiny_cache: Path, tmp_path: Path) -> Path:
    """A finished run."""
    settings: dict[str, Any] = {"dim": 32, "heads": 2, "epochs": 2, "batch_size": 4, "device": "cpu", "seed": 3}
    return train(
        TrainConfig(features=tiny_cache, runs=tmp_path, name="first", val_fraction=0.34, **settings)
    ).folder


def test_a_run_repeated_from_its_record_has_identical_metrics_and_weights(run: Path, tmp_path: Path) -> None:
    result = repeat_run(run, runs=tmp_path, device="cpu")
    assert result.run.folder == tmp_path / "first-repeat"
    assert result.verdict == "metrics identical"
    for file in ("metrics.json", "model.safetensors", "predictions.parquet"):
        assert (result.run.folder / file).read_bytes() == (run / file).read_bytes()


def test_other_metrics_are_said_with_where_they_differ(run: Path, tmp_path: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    metrics["scores"]["vtf"]["average"]["f1"] = 0.5
    (run / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    result = repeat_run(run, runs=tmp_path, device="cpu")
    assert len(result.differences) == 1
    assert result.verdict.startswith("1 values of metrics.json differ (scores.vtf.average.f1: 0.5 -> 0.")


def test_another_cache_is_refused_before_any_training(run: Path, extract_config: Any, tmp_path: Path) -> None:
    other = extract(extract_config(tmp_path / "other.h5", frames=1)).index
    with pytest.raises(CacheError, match=r"--features.*other\.h5"):
        repeat_run(run, features=other, runs=tmp_path, device="cpu")
    assert not (tmp_path / "first-repeat").exists()


def test_unknown_settings_are_one_line(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "settings": {"colour": 1}}), "utf-8")
    with pytest.raises(CacheError, match=r"first/run\.json.*'colour'"):
        repeat_run(run, runs=tmp_path, device="cpu")
