"""An extraction that is killed, interrupted or terminated at any moment goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vpar_cache import cache_format as fmt
from vpar_cache.config import ExtractConfig
from vpar_cache.encoder import Encoder
from vpar_cache.errors import CacheError
from vpar_cache.extract import extract_features

PROJECT = Path(__file__).resolve().parents[1]

VPAR = """
import sys, time
import open_clip
from vpar_cache import loading, shard_run
from vpar_cli.main import run

def slow(*arguments):
    time.sleep(0.2)
    return loading.load_tracklet(*arguments)

open_clip.add_model_config(sys.argv.pop(1))
shard_run.load_tracklet = slow
run()
"""
"""The program with a tiny architecture, and with a disk so slow that it does not end by itself."""

Make = Callable[..., ExtractConfig]


def leftovers(index: Path) -> list[str]:
    folders = (index.parent, fmt.shard_folder(index))
    return [p.name for folder in folders for p in folder.glob(".*") if p.suffix in (".partial", ".lock")]


def bytes_of(index: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (index, *fmt.shard_folder(index).glob("shard-*.h5"))}


def test_killed_at_random_moments_it_ends_in_the_bytes_of_an_undisturbed_run() -> None:
    stress = subprocess.run(
        [sys.executable, str(PROJECT / "benchmarks" / "kill_resume.py"), "--kills", "6"],
        capture_output=True,
        text=True,
    )
    assert stress.returncode == 0, stress.stdout + stress.stderr
    figure = json.loads(stress.stdout.splitlines()[-1])
    assert figure["met"] is True
    assert figure["survived"] == figure["kills"] == 6


def test_ctrl_c_and_sigterm_end_within_seconds_and_the_cache_goes_on(
    tiny_cache: Path, tiny_architecture: Path, demo_root: Path, extract_config: Make, tmp_path: Path
) -> None:
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143}
    running = {}
    for number in expected:  # both at once: most of the time is the import of torch
        settings = extract_config(tmp_path / number.name / "tiny.h5")
        options = {
            "dataset": settings.dataset,
            "root": demo_root,
            "out": settings.out,
            "device": "cpu",
            "backbone": settings.backbone,
            "weights": settings.weights,
            "precision": settings.precision,
            "frames": settings.frames,
            "shard-size": settings.shard_size,
            "workers": 1,
        }
        arguments = ["extract", *(f"--{name}={value}" for name, value in options.items())]
        command = [sys.executable, "-c", VPAR, str(tiny_architecture), *arguments]
        running[number] = settings, subprocess.Popen(command, stdout=-1, stderr=-1, text=True)
    for number, (settings, process) in running.items():
        first = fmt.shard_folder(settings.out) / "shard-00000.h5"
        while not first.exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        started = time.monotonic()
        output, errors = process.communicate(timeout=60)
        assert time.monotonic() - started < 5
        assert process.returncode == expected[number], errors
        assert output == ""
        assert errors.splitlines()[-1] == (
            "interrupted: what was finished is kept; run the same command again to go on"
        )
        assert "Traceback" not in errors
        assert not settings.out.exists()
        assert leftovers(settings.out) == []
        assert extract_features(settings).shards_kept >= 1
        assert bytes_of(settings.out) == bytes_of(tiny_cache)


@pytest.fixture
def slow_batches(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Batches of 0.2 s; the times at which they began. Two writers have 18 of them to do in 2 shards."""
    encode, begun = Encoder.encode_frames, []

    def slow(self: Encoder, *arguments: Any) -> Any:
        begun.append(time.monotonic())
        time.sleep(0.2)
        return encode(self, *arguments)

    monkeypatch.setattr(Encoder, "encode_frames", slow)
    return begun


def two_writers(extract_config: Make, index: Path) -> ExtractConfig:
    return extract_config(index, devices=("cpu", "cpu"), shard_size=9, batch_size=2)


def test_an_interrupt_stops_several_writers_within_a_batch(
    extract_config: Make, tmp_path: Path, slow_batches: list[float]
) -> None:
    config = two_writers(extract_config, tmp_path / "tiny.h5")
    interrupted: list[float] = []

    def interrupt() -> None:
        while len(slow_batches) < 3:
            time.sleep(0.01)
        interrupted.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        extract_features(config)
    thread.join()
    assert time.monotonic() - interrupted[0] < 1
    assert len(slow_batches) < 8
    assert bytes_of_shards(config.out) == {}, "half a shard was published"
    assert leftovers(config.out) == []


def bytes_of_shards(index: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in fmt.shard_folder(index).glob("shard-*.h5")}


def test_a_writer_that_fails_stops_the_others_and_is_what_the_error_says(
    extract_config: Make, tmp_path: Path, slow_batches: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = two_writers(extract_config, tmp_path / "tiny.h5")
    slow = Encoder.encode_frames

    def failing(self: Encoder, *arguments: Any) -> Any:
        if len(slow_batches) == 5:
            raise RuntimeError("CUDA error: an illegal memory access was encountered\nand more")
        return slow(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode_frames", failing)
        with pytest.raises(CacheError, match=r"the writer on cpu failed \(RuntimeError: CUDA error") as stopped:
            extract_features(config)
    assert str(tmp_path / "tiny") in str(stopped.value)
    assert "run the same command again" in str(stopped.value)
    assert len(slow_batches) < 9, "the other went on"
    assert bytes_of_shards(config.out) == {}, "half a shard was published"
    assert extract_features(config).shards_computed == 2
