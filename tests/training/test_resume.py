"""A training run that was stopped anywhere ends in the bytes of an undisturbed one."""

from __future__ import annotations

import json
import re
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
from safetensors import safe_open

from tests.support.limits import no_more_open_files
from vpar_cache.errors import CacheError, Stopped
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.training.checkpoints import Checkpoint, CheckpointFile
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import TrainResult, train

SAME_BYTES = ("metrics.json", "model.safetensors", "predictions.parquet")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, extract_config: Callable[..., ExtractConfig]) -> Path:
    """A cache with every array that a model may read."""
    config = extract_config(tmp_path_factory.mktemp("whole") / "whole.h5", views=2, keep_frames=True)
    return extract(config).index


def settings(cache: Path, runs: Path, **changes: Any) -> dict[str, Any]:
    small = {"dim": 32, "heads": 2, "epochs": 6, "batch_size": 5, "device": "cpu", "val_fraction": 0.34}
    return {"features": cache, "runs": runs, **small, **changes}


def run(
    cache: Path,
    runs: Path,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda line: None,
    **changes: Any,
) -> TrainResult:
    return train(TrainConfig(**settings(cache, runs, **changes)), stop=stop, say=say)


def stop_at(number: int) -> Callable[[], bool]:
    """Return a `stop` that says yes when it is asked for the `number`-th time."""
    asked = iter([False] * (number - 1) + [True])
    return lambda: next(asked)


def assert_same(one: TrainResult, other: TrainResult) -> None:
    for name in SAME_BYTES:
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes(), name
    histories = [pq.read_table(r.folder / "history.parquet").drop_columns(["seconds"]) for r in (one, other)]
    assert histories[0].equals(histories[1])
    records = [json.loads((r.folder / "run.json").read_text()) for r in (one, other)]
    for field in ("selected_epoch", "selected_threshold", "thresholds"):
        assert records[0][field] == records[1][field]


MORE: tuple[dict[str, Any], ...] = ({"model": "vtf"}, {"model": "videopar"}, {"recipe": "paper"}, {"views": 0})


@pytest.mark.parametrize(
    "changes",
    [
        {
            "layers": 2,
            "loss": "weighted",
            "schedule": "warmup-cosine",
            "logit_norm": True,
            "drop_path": 0.3,
            "seed": 3,
        },
        {"model": "3dcnn", "recipe": "paper"},
        *(pytest.param(changes, marks=pytest.mark.slow) for changes in MORE),
    ],
    ids=str,
)
def test_a_run_stopped_twice_within_epochs_equals_an_undisturbed_one_bit_for_bit(
    changes: dict[str, Any], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(cache, tmp_path, name="whole", **changes)
    monkeypatch.setattr("vpar_cache.training.checkpoints.SECONDS_BETWEEN", 0.0)
    for steps in (5, 7):
        torch.manual_seed(steps)  # another process has another state
        with pytest.raises(Stopped):
            run(cache, tmp_path, stop_at(steps), name="resumed", **changes)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".resumed.checkpoint", "whole"]
    assert_same(whole, run(cache, tmp_path, name="resumed", **changes))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed", "whole"]


@pytest.mark.parametrize("views", [None, 0])
def test_a_run_by_shards_goes_on_bit_for_bit_where_it_was_stopped(
    views: int | None, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpar_cache.training.order.WINDOW_SHARDS", 1)  # the cache has four
    changes = {"shuffle": "shards", "model": "linear", "views": views}
    whole = run(cache, tmp_path, name="whole", **changes)
    monkeypatch.setattr("vpar_cache.training.checkpoints.SECONDS_BETWEEN", 0.0)
    with pytest.raises(Stopped):
        run(cache, tmp_path, stop_at(5), name="resumed", **changes)
    assert_same(whole, run(cache, tmp_path, name="resumed", **changes))


SLOW = """
import time
import vpar_cache.training.checkpoints as checkpoints
import vpar_cache.training.loop as loop
from vpar_cli.main import run
checkpoints.SECONDS_BETWEEN = 0
train_epoch = loop.Trainer._train_epoch
def slow(*arguments):
    time.sleep(0.5)
    return train_epoch(*arguments)
loop.Trainer._train_epoch = slow
run()
"""


@pytest.mark.slow
def test_a_killed_process_is_resumed_by_another(cache: Path, tmp_path: Path) -> None:
    """With SIGKILL, which no handler sees. It would train for four seconds."""
    changes = {"model": "linear", "epochs": 8}
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
    (tmp_path / "..resumed.checkpoint.7-0123abcd.partial").write_bytes(b"left by a kill during a write")
    resumed = run(cache, tmp_path, name="resumed", **changes)
    assert_same(run(cache, tmp_path, name="whole", **changes), resumed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed", "whole"]


@pytest.fixture
def checkpoint(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a stopped run leaves."""
    monkeypatch.setattr("vpar_cache.training.checkpoints.SECONDS_BETWEEN", 0.0)
    with pytest.raises(Stopped):
        run(cache, tmp_path, stop_at(5), name="a", model="linear")
    return tmp_path / ".a.checkpoint"


def test_the_same_call_continues_and_says_so_and_restart_starts_over(checkpoint: Path, cache: Path) -> None:
    said: list[str] = []
    kept = checkpoint.read_bytes()
    run(cache, checkpoint.parent, name="a", model="linear", say=said.append)
    (line,) = (line for line in said if "continuing" in line)
    assert "after epoch 1 of 6" in line
    assert "--restart" in line
    assert not checkpoint.exists()
    checkpoint.write_bytes(kept)
    said.clear()
    run(cache, checkpoint.parent, name="a", model="linear", restart=True, overwrite=True, say=said.append)
    assert not any("continuing" in line for line in said)
    assert not checkpoint.exists()


def test_a_checkpoint_of_other_settings_is_refused(checkpoint: Path, cache: Path) -> None:
    with pytest.raises(CacheError, match=r"\.a\.checkpoint.*--restart"):
        run(cache, checkpoint.parent, name="a", model="linear", lr=5e-4)


def test_a_flipped_bit_of_a_checkpoint_is_found(checkpoint: Path, cache: Path) -> None:
    whole = checkpoint.read_bytes()
    for at in (0.001, 0.1, 0.999):
        data = bytearray(whole)
        data[int(at * len(data))] ^= 16
        checkpoint.write_bytes(data)
        with pytest.raises(CacheError, match=r"\.a\.checkpoint.*--restart"):
            run(cache, checkpoint.parent, name="a", model="linear")
    run(cache, checkpoint.parent, name="a", model="linear", epochs=1, restart=True)


def test_a_checkpoint_that_cannot_be_opened_now_is_not_called_damaged(checkpoint: Path, cache: Path) -> None:
    whole = checkpoint.read_bytes()
    with no_more_open_files(), pytest.raises(CacheError, match=r"\.a\.checkpoint.*ulimit -n") as error:
        CheckpointFile(checkpoint.parent, "a", "").load()
    assert "--restart" not in str(error.value)
    assert checkpoint.read_bytes() == whole


def test_a_checkpoint_of_other_tensors_is_refused(checkpoint: Path, cache: Path) -> None:
    with safe_open(checkpoint, "pt") as file:
        fingerprint = json.loads(file.metadata()["vpar"])["fingerprint"]
    forged = CheckpointFile(checkpoint.parent, "a", fingerprint)
    forged.save_if_due(Checkpoint(1, {"heads.weight": torch.zeros(1, 1)}, history=[{"epoch": 1}]))
    with pytest.raises(CacheError, match="--restart"):
        run(cache, checkpoint.parent, name="a", model="linear")


# --- one training of a name at a time ---


def test_a_second_training_of_a_name_is_refused_and_touches_nothing_of_the_first(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpar_cache.training.checkpoints.SECONDS_BETWEEN", 0.0)
    changes = {"model": "linear", "name": "a"}
    asked = iter(range(10_000))

    def meanwhile() -> bool:
        if next(asked) == 9:  # in a later epoch: there is a checkpoint
            before = {path: path.read_bytes() for path in tmp_path.iterdir()}
            assert tmp_path / ".a.checkpoint" in before
            for options in ({}, {"overwrite": True}, {"restart": True}):
                with pytest.raises(CacheError, match=r"a is being written by process \d+"):
                    run(cache, tmp_path, **changes, **options)
            assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        return False

    first = run(cache, tmp_path, meanwhile, **changes)
    assert next(asked) > 10
    assert_same(run(cache, tmp_path, name="whole", model="linear"), first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "whole"]


def test_a_run_that_another_host_finished_meanwhile_is_not_replaced_unasked(cache: Path, tmp_path: Path) -> None:
    """Where a file system has no locks."""

    def meanwhile() -> bool:
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / "run.json").write_text("theirs")
        return False

    with pytest.raises(CacheError, match="--overwrite"):
        run(cache, tmp_path, meanwhile, model="linear", name="a")
    assert (tmp_path / "a" / "run.json").read_text() == "theirs"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run.json"]
    replaced = run(cache, tmp_path, meanwhile, model="linear", name="a", overwrite=True)
    assert json.loads((replaced.folder / "run.json").read_text())["name"] == "a"


@pytest.mark.parametrize("runs", ["/dev/null", "a file"])
def test_runs_in_a_place_that_is_no_folder_are_refused_before_the_training(
    cache: Path, tmp_path: Path, runs: str
) -> None:
    (tmp_path / "a file").write_text("")

    def never() -> bool:
        raise AssertionError("the training began")

    with pytest.raises(CacheError, match=re.escape(runs)):
        run(cache, tmp_path / runs, never, model="linear")
