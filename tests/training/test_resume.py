"""A training run that was stopped anywhere ends in the bytes of an undisturbed one, whatever it trains."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.models.systems import MODELS
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import TrainResult, train_model
from vpar_cache.training.trainer import Trainer

SAME_BYTES = ("metrics.json", "model.safetensors", "predictions.parquet")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, extract_config: Callable[..., ExtractConfig]) -> Path:
    """With everything that a model may read, or draw from."""
    config = extract_config(tmp_path_factory.mktemp("whole") / "whole.h5", views=2, keep_frames=True)
    return extract(config).index


def settings(cache: Path, runs: Path, **changes: Any) -> dict[str, Any]:
    small = {"dim": 32, "heads": 2, "epochs": 6, "batch_size": 5, "device": "cpu", "val_fraction": 0.34}
    return {"features": cache, "runs": runs, **small, **changes}


def train(cache: Path, runs: Path, **changes: Any) -> TrainResult:
    return train_model(TrainConfig(**settings(cache, runs, **changes)))


def assert_same(one: TrainResult, other: TrainResult) -> None:
    for name in SAME_BYTES:
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes(), name
    histories = [pq.read_table(r.folder / "history.parquet").drop_columns(["seconds"]) for r in (one, other)]
    assert histories[0].equals(histories[1])
    records = [json.loads((r.folder / "run.json").read_text()) for r in (one, other)]
    for field in ("selected_epoch", "selected_threshold"):
        assert records[0][field] == records[1][field]


class Stopped(Exception):  # noqa: N818, it stands for any
    """The process is told to end."""


@pytest.mark.parametrize(
    "changes",
    [
        *({"model": model} for model in MODELS),
        {"protocol": "paper"},
        {"logit_norm": True},
        {"layers": 2, "loss": "weighted", "seed": 3},
        {"schedule": "warmup-cosine"},
        {"views": 0},
        {"views": 1},
    ],
    ids=str,
)
def test_a_run_stopped_amid_epochs_equals_an_undisturbed_one_bit_for_bit(
    changes: dict[str, Any], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(cache, tmp_path, name="whole", **changes)
    monkeypatch.setattr("vpar_cache.training.checkpoints.SECONDS_BETWEEN", 0.0)
    backward, steps, begun = torch.Tensor.backward, [0], []

    def stopping(self: torch.Tensor, *arguments: Any, **options: Any) -> None:
        steps[0] += 1
        if steps[0] in (4, 11):  # amid the second epoch, and amid one of the resumed run
            raise Stopped
        backward(self, *arguments, **options)

    train_epoch = Trainer._train_epoch

    def note(self: Trainer, *arguments: Any) -> Any:
        begun.append(arguments[-1])
        return train_epoch(self, *arguments)

    monkeypatch.setattr(torch.Tensor, "backward", stopping)
    monkeypatch.setattr(Trainer, "_train_epoch", note)
    stops = 0
    while True:
        torch.manual_seed(stops)  # what another process has
        try:
            resumed = train(cache, tmp_path, name="resumed", resume=True, **changes)
            break
        except Stopped:
            stops += 1
    assert_same(whole, resumed)
    if whole.folder.joinpath("history.parquet").exists() and begun:
        assert stops == 2
        assert len(begun) < 6 * 2, "it began from the start"
        assert begun[-1] == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed", "whole"]


SLOW = """
import time
import vpar_cache.training.checkpoints as checkpoints
import vpar_cache.training.trainer as trainer
from vpar_cli.main import run
checkpoints.SECONDS_BETWEEN = 0
train_epoch = trainer.Trainer._train_epoch
def slow(*arguments):
    time.sleep(0.3)
    return train_epoch(*arguments)
trainer.Trainer._train_epoch = slow
run()
"""


def test_a_killed_process_is_resumed_by_another(cache: Path, tmp_path: Path) -> None:
    """With SIGKILL, which no handler sees. It would train for six seconds."""
    changes = {"model": "linear", "epochs": 20}
    options = settings(cache, tmp_path, name="resumed", **changes)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = subprocess.Popen([sys.executable, "-c", SLOW, "train", *arguments], stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / ".resumed.checkpoint"
    try:
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.7)  # into a later epoch
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it had ended before"
    assert checkpoint.exists()
    (tmp_path / "..resumed.checkpoint.7-0123abcd.partial").write_bytes(b"what a kill amid its writing leaves")
    resumed = train(cache, tmp_path, name="resumed", resume=True, **changes)
    assert_same(train(cache, tmp_path, name="whole", **changes), resumed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed", "whole"]
