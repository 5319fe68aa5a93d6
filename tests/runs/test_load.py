"""The model of a run folder, and what its probabilities mean."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from tests.support.fake_runs import SMALL  # hat; pose of three
from tests.support.limits import no_more_open_files
from vpar_cache.errors import CacheError, DataError
from vpar_cache.runs.load import LoadedRun, load_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train


@pytest.fixture(scope="module")
def run(tiny_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of strict. Read only."""
    settings = {"model": "linear", "epochs": 3, "lr": 0.1, "device": "cpu", "val_fraction": 0.5}
    return train(TrainConfig(features=tiny_cache, runs=tmp_path_factory.mktemp("runs"), **settings)).folder


def test_thresholds_are_those_of_the_record(run: Path) -> None:
    loaded, record = load_run(run), json.loads((run / "run.json").read_text("utf-8"))
    names = [output.name for output in loaded.schema.outputs]
    assert dict(zip(names, loaded.thresholds.tolist(), strict=True)) == record["thresholds"]
    assert len(set(loaded.thresholds)) > 1


def test_a_single_output_holds_above_its_threshold_and_of_a_choice_the_most_probable(run: Path) -> None:
    loaded = LoadedRun(nn.Identity(), None, SMALL, {}, "visual", np.array([0.3, 0.9, 0.9, 0.1]), False, {})
    probabilities = np.array([[0.31, 0.2, 0.3, 0.05], [0.3, 0.2, 0.1, 0.15], [0.9, 0.4, 0.95, 0.99]], np.float32)
    expected = [[True, False, True, False], [False, True, False, False], [True, False, False, True]]
    assert loaded.holds(probabilities).tolist() == expected
    assert loaded.holds(probabilities[:0]).shape == (0, 4)
    with pytest.raises(DataError, match=r"\(3, 3\).*\(B, 4\)"):
        loaded.holds(probabilities[:, :3])


@pytest.mark.parametrize("thresholds", [[0.5], [2.0] * 43, ["x"] * 43, None])
def test_thresholds_that_do_not_fit_the_schema_are_refused(run: Path, thresholds: object, tmp_path: Path) -> None:
    with safe_open(run / "model.safetensors", "pt") as file:
        metadata = json.loads(file.metadata()["vpar"])
    metadata["thresholds"] = thresholds
    save_file(load_file(run / "model.safetensors"), tmp_path / "model.safetensors", {"vpar": json.dumps(metadata)})
    with pytest.raises(CacheError, match=r"model\.safetensors"):
        load_run(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(run: Path, value: float, tmp_path: Path) -> None:
    with safe_open(run / "model.safetensors", "pt") as file:
        metadata = file.metadata()
    tensors = load_file(run / "model.safetensors")
    name = sorted(tensors)[-1]
    tensors[name].view(-1)[0] = value
    save_file(tensors, tmp_path / "model.safetensors", metadata)
    with pytest.raises(CacheError, match=r"not finite"):
        load_run(tmp_path)


def test_a_model_that_cannot_be_opened_now_is_no_reason_to_train_again(run: Path) -> None:
    with no_more_open_files(), pytest.raises(CacheError, match=r"model\.safetensors.*ulimit -n") as error:
        load_run(run)
    assert "train the run again" not in str(error.value)
