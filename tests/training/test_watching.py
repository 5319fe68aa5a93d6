"""A training is seen while it runs: a line, and a function of the caller after each epoch."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import termios
import tty
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import vpar_cache
from vpar_cache.base import progress as progress_module
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.schedule import lr_factor
from vpar_cache.training.train import TrainResult, train
from vpar_cache.training.watching import Epoch, Watch

TIME = r"(\d\d:\d\d|\?)"


class Terminal:
    """A real terminal of so many columns in place of stderr; `text` is what was written to it."""

    def __init__(self, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._reader, writer = pty.openpty()
        tty.setraw(writer)
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.stream = open(writer, "w", buffering=1)  # noqa: PTH123, SIM115
        monkeypatch.setattr("sys.stderr", self.stream)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()
        os.close(self._reader)

    @property
    def text(self) -> str:
        self.stream.flush()
        os.set_blocking(self._reader, False)
        held = b""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._reader, 65536):
                held += piece
        return held.decode()

    @property
    def lines(self) -> list[str]:
        """The line of progress, each time that it was drawn."""
        return [line for line in re.split(r"[\r\n]", self.text) if " left" in line]


def run(cache: Path, runs: Path, on_epoch: Any = None, **changes: Any) -> TrainResult:
    settings = {"model": "linear", "epochs": 4, "device": "cpu", "val_fraction": 0.34, **changes}
    return train(TrainConfig(features=cache, runs=runs, **settings), say=lambda line: None, on_epoch=on_epoch)


def test_the_function_gets_each_epoch_with_the_numbers_of_the_history(tiny_cache: Path, tmp_path: Path) -> None:
    seen: list[Epoch] = []
    result = run(tiny_cache, tmp_path, seen.append, schedule="warmup-cosine")
    history = pq.read_table(result.folder / "history.parquet").to_pylist()
    assert [(e.epoch, e.epochs) for e in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [e.learning_rate for e in seen] == [1e-3 * lr_factor("warmup-cosine", n, 4) for n in (1, 2, 3, 4)]
    for epoch, row in zip(seen, history, strict=True):
        assert (epoch.loss, epoch.validation_loss, epoch.validation_f1, epoch.seconds) == (
            row["train_loss"],
            row["validation_loss"],
            row["validation_f1"],
            row["seconds"],
        )
    assert seen[0].validation_f1 is not None
    with pytest.raises(FrozenInstanceError):
        seen[0].loss = 0.0  # type: ignore[misc]


def test_where_nobody_is_held_out_there_are_no_validation_scores(tiny_cache: Path, tmp_path: Path) -> None:
    seen: list[Epoch] = []
    run(tiny_cache, tmp_path, seen.append, recipe="paper", epochs=1)
    assert [(e.validation_loss, e.validation_f1) for e in seen] == [(None, None)]


def test_a_watched_run_is_the_run_that_nobody_watches(tiny_cache: Path, tmp_path: Path) -> None:
    alone, watched = run(tiny_cache, tmp_path / "a"), run(tiny_cache, tmp_path / "b", print)
    assert watched.folder.name == alone.folder.name  # the settings have the same fingerprint
    for name in ("model.safetensors", "predictions.parquet", "metrics.json"):
        assert (alone.folder / name).read_bytes() == (watched.folder / name).read_bytes()


def test_an_exception_of_the_function_comes_out_and_the_same_call_continues(
    tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpar_cache.training.checkpoints.SECONDS_BETWEEN", 0.0)

    def fail(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise ZeroDivisionError("of the caller")

    with pytest.raises(ZeroDivisionError, match="of the caller"):
        run(tiny_cache, tmp_path / "a", fail, name="run")
    assert [path.name for path in (tmp_path / "a").iterdir()] == [".run.checkpoint"]
    seen: list[Epoch] = []
    continued = run(tiny_cache, tmp_path / "a", seen.append, name="run")
    assert [e.epoch for e in seen] == [3, 4]
    whole = run(tiny_cache, tmp_path / "b", name="run")
    assert (continued.folder / "metrics.json").read_bytes() == (whole.folder / "metrics.json").read_bytes()


def test_a_public_function_takes_it(tiny_cache: Path, tmp_path: Path) -> None:
    seen: list[vpar_cache.Epoch] = []
    config = vpar_cache.TrainConfig(features=tiny_cache, runs=tmp_path, model="linear", epochs=1, device="cpu")
    vpar_cache.train(config, say=lambda line: None, on_epoch=seen.append)
    assert type(seen[0]) is vpar_cache.Epoch


@pytest.mark.parametrize("columns", [80, 120])
def test_in_a_terminal_a_line_has_the_numbers_of_the_epoch_and_fits(
    tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    with Terminal(columns, monkeypatch) as terminal:
        run(tiny_cache, tmp_path)
        lines = terminal.lines
    number = r"[\d.]+"
    last = rf"epoch 4/4: {TIME} left, loss {number}, lr 0\.001, vtf F1 {number}, {number} s \|.+"
    assert re.fullmatch(last, lines[-1]), lines[-1]
    assert max(map(len, lines)) <= columns


def test_the_longest_line_is_whole_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    epoch = Epoch(120, 200, 12.345678, 5.07e-4, 1.0, 0.4512, 276.13)
    with Terminal(80, monkeypatch) as terminal:
        with Watch(119, 200, 8298, None) as watch:
            watch.trained(8298)
            watch.ended(epoch)
        last = terminal.lines[-1]
    assert "loss 12.35, lr 0.000507, vtf F1 45.12, 276.1 s" in last
    assert len(last.partition(" |")[0]) + len("1:") <= 80  # where hours are left


def test_without_a_terminal_a_line_counts_tracklets_within_epochs(
    tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress_module, "SECONDS", 0.0)
    run(tiny_cache, tmp_path, batch_size=3)
    rate = r"[\d.]+ ?(tracklet/s|s/tracklet)"
    pattern = rf"epoch \d/4: (\d+) of 32 tracklets, +(\?tracklet/s|{rate}), {TIME} left(, loss .* s)?"
    found = [re.fullmatch(pattern, line) for line in stream.getvalue().splitlines()]
    assert all(found), stream.getvalue()
    counts = [int(match[1]) for match in found if match]
    assert {3, 8, 32} <= set(counts)  # in the first epoch, at its end, at the end of the last
    assert "\r" not in stream.getvalue()


def test_what_the_function_prints_is_apart_from_the_line(
    tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Terminal(100, monkeypatch) as terminal:
        run(tiny_cache, tmp_path, lambda epoch: print(f"now {epoch.epoch}", file=terminal.stream))
        before = [text.rpartition("\r")[2] for text in re.split(r"now \d\n", terminal.text)[:-1]]
    assert before == [""] * 4  # the cursor stood in an empty line
