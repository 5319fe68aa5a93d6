"""A model that the caller brings: trained, recorded, loaded and refused by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

from vpar_cache.cache.features import open_features
from vpar_cache.errors import CacheError, Stopped, UserError
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.runs.load import load_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import TrainResult, train
from vpar_cache.workflows.repeat import repeat_run


class MeanHead(nn.Module):
    """Averages all but the last dimension of a row, with dropout and two names for one weight."""

    def __init__(self, inputs: ModelInputs, outputs: int) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(inputs.token_dim, outputs)
        self.same_head = self.head

    def forward(self, rows: Tensor, text: Tensor) -> Tensor:
        pooled = rows.flatten(1, -2).mean(dim=1)  # (B, D)
        return self.head(self.drop(pooled))  # (B, outputs)


def mean_head(inputs: ModelInputs) -> nn.Module:
    return MeanHead(inputs, inputs.num_outputs)


def config(cache: Path, runs: Path, **changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 4, "device": "cpu", "val_fraction": 0.34}
    return TrainConfig(features=str(cache), runs=str(runs), **{**settings, **changes})


@pytest.fixture(scope="module")
def run(tiny_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Read only."""
    runs = tmp_path_factory.mktemp("runs")
    return train(config(tiny_cache, runs), model=mean_head, reads="frame_embeddings", loss="ce")


def test_the_record_says_that_the_model_is_the_caller_s(run: TrainResult) -> None:
    record = json.loads((run.folder / "run.json").read_text("utf-8"))
    assert (record["model"], record["settings"]["loss"], record["reads"]) == ("custom", "ce", "frame_embeddings")
    assert record["own_model"].endswith("test_own_model.mean_head")
    assert run.folder.name.startswith("mars-custom-0-")


def test_a_loaded_run_predicts_what_training_wrote(run: TrainResult, tiny_cache: Path) -> None:
    loaded, features = load_run(str(run.folder), model=mean_head), open_features(tiny_cache)
    table = pq.read_table(run.folder / "predictions.parquet").to_pydict()
    rows = np.array([features.tracklet_ids.index(name) for name in table["tracklet_id"]])
    probabilities = loaded.predict(features.arrays[loaded.reads].gather(rows))
    np.testing.assert_allclose(probabilities, np.array(table["probabilities"]), atol=1e-6)
    for group, columns in loaded.schema.slices():
        if group.is_choice:  # a softmax: the loss was ce
            np.testing.assert_allclose(probabilities[:, columns].sum(axis=1), 1, rtol=1e-5)
    assert loaded.random_weights
    record = json.loads((run.folder / "run.json").read_text("utf-8"))
    assert loaded.thresholds.tolist() == list(record["thresholds"].values())


def test_only_the_right_function_loads_a_run(run: TrainResult, tiny_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"own model.*model="):
        load_run(run.folder)
    with pytest.raises(CacheError, match=r"model\.safetensors"):
        load_run(run.folder, model=lambda inputs: nn.Linear(3, 5))
    built_in = train(config(tiny_cache, tmp_path, model="linear", epochs=1)).folder
    with pytest.raises(UserError, match="built-in model"):
        load_run(built_in, model=mean_head)


def test_the_commands_refuse_the_run_in_one_line(run: TrainResult, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--from-run.*own model") as error:
        repeat_run(run.folder, runs=tmp_path)
    assert "\n" not in str(error.value)


def test_a_stopped_run_leaves_its_checkpoint_and_resumes_bit_for_bit_dropout_included(
    tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpar_cache.training.checkpoints.SECONDS_BETWEEN", 0.0)
    whole = train(config(tiny_cache, tmp_path, name="whole"), model=mean_head)
    asked = iter([False] * 5 + [True])
    with pytest.raises(Stopped):
        train(config(tiny_cache, tmp_path, name="stopped"), model=mean_head, stop=lambda: next(asked))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".stopped.checkpoint", "whole"]
    torch.manual_seed(99)
    resumed = train(config(tiny_cache, tmp_path, name="stopped"), model=mean_head)
    for name in ("model.safetensors", "predictions.parquet"):
        assert (whole.folder / name).read_bytes() == (resumed.folder / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": lambda inputs: None}, "model.*NoneType.*Module"),
        ({"model": lambda inputs: MeanHead(inputs, 3)}, r"model.*\(4, 3\).*\(4, 43\)"),
        ({"model": mean_head, "reads": "pixels"}, "pixels.*visual"),
        ({"model": mean_head, "loss": "hinge"}, "loss.*'hinge'.*bce"),
        ({"loss": "ce"}, "loss.*model="),
    ],
)
def test_what_does_not_fit_is_named(
    options: dict[str, Any], message: str, tiny_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        train(config(tiny_cache, tmp_path), **options)
    assert not list(tmp_path.iterdir())
