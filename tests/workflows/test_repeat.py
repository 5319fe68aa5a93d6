"""run.json is enough to do a run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from vpar_cache.cache.features import open_features
from vpar_cache.errors import CacheError, UserError
from vpar_cache.extraction.extract import extract
from vpar_cache.runs.load import load_run
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
        repeat_run(run, features=[other], runs=tmp_path, device="cpu")
    assert not (tmp_path / "first-repeat").exists()


def test_unknown_settings_are_one_line(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "settings": {"colour": 1}}), "utf-8")
    with pytest.raises(CacheError, match=r"first/run\.json.*'colour'"):
        repeat_run(run, runs=tmp_path, device="cpu")


def test_a_run_with_folds_is_repeated_with_the_same_file_wherever_it_is(tiny_cache: Path, tmp_path: Path) -> None:
    folds, moved, other = (tmp_path / name for name in ("folds.csv", "moved.csv", "other.csv"))
    lines = ["person_id,fold", *(f"{person},{person % 2}" for person in range(1, 10))]
    folds.write_text("\n".join(lines), "utf-8")
    moved.write_text("\n".join(lines), "utf-8")
    other.write_text("\n".join([*lines, "10,0"]), "utf-8")
    settings: dict[str, Any] = {"model": "linear", "epochs": 2, "device": "cpu", "folds": folds, "fold": 1}
    folder = train(TrainConfig(features=tiny_cache, runs=tmp_path, name="folded", **settings)).folder
    assert "folds.csv" not in (folder / "run.json").read_text("utf-8")
    folds.unlink()
    assert repeat_run(folder, runs=tmp_path, device="cpu", folds=moved).verdict == "metrics identical"
    for wrong in (None, other):
        with pytest.raises(UserError, match="--folds"):
            repeat_run(folder, runs=tmp_path, device="cpu", folds=wrong, name="again")


@pytest.fixture(scope="module")
def frames_cache(tmp_path_factory: pytest.TempPathFactory, extract_config: Any) -> Path:
    """A cache with the tokens of every frame."""
    return extract(extract_config(tmp_path_factory.mktemp("frames") / "frames.h5", keep_frames=True)).index


@pytest.mark.parametrize(
    "options",
    [
        {"parts": "fixed"},
        {"parts": "learned", "tune_text": True, "layers": 2},
        {"model": "vtb", "parts": "learned", "tune_text": True},
        {"model": "vtf-temporal", "tune_text": True},
        {"recipe": "paper", "drop_path": 0.3, "norm_eps": 1e-3},
    ],
    ids=str,
)
@pytest.mark.slow
def test_options_of_the_model_are_loaded_and_repeated_from_the_run_alone(
    options: dict[str, Any], frames_cache: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"dim": 32, "heads": 2, "epochs": 2, "batch_size": 4, "device": "cpu"}
    config = TrainConfig(features=frames_cache, runs=tmp_path, name="first", **{**settings, **options})
    folder = train(config).folder
    run, features = load_run(folder), open_features(frames_cache)
    table = pq.read_table(folder / "predictions.parquet").to_pydict()
    rows = [features.tracklet_ids.index(name) for name in table["tracklet_id"]]
    probabilities = run.predict(features.arrays[run.reads].gather(rows))
    np.testing.assert_allclose(probabilities, np.array(table["probabilities"]), atol=1e-6)
    assert {name: run.settings[name] for name in options} == options
    repeated = repeat_run(folder, runs=tmp_path, device="cpu")
    assert repeated.verdict == "metrics identical"
    for file in ("model.safetensors", "predictions.parquet"):
        assert (repeated.run.folder / file).read_bytes() == (folder / file).read_bytes()
