"""An extraction that is killed, interrupted or terminated at any moment goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.errors import CacheError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

PROJECT = Path(__file__).resolve().parents[2]

Make = Callable[..., ExtractConfig]


def leftovers(index: Path) -> list[str]:
    folders = (index.parent, fmt.shard_folder(index))
    return [p.name for folder in folders for p in folder.glob(".*") if p.suffix in (".partial", ".lock")]


def published(index: Path) -> list[str]:
    return sorted(p.name for p in fmt.shard_folder(index).glob("shard-*.h5"))


def bytes_of(index: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (index, *fmt.shard_folder(index).glob("shard-*.h5"))}


def test_killed_interrupted_or_terminated_anywhere_it_ends_in_the_bytes_of_an_undisturbed_run() -> None:
    """In real processes: see benchmarks/kill_resume.py for all that it checks after each of the six."""
    stress = subprocess.run(
        [sys.executable, "benchmarks/kill_resume.py", "--kills", "6", "--signals", "KILL,INT,TERM"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert stress.returncode == 0, stress.stdout + stress.stderr
    figure = json.loads(stress.stdout.splitlines()[-1])
    assert figure["met"] is True
    assert figure["survived"] == figure["kills"] == 6


def test_several_at_once_never_write_together(extract_config: Make, tiny_cache: Path, tmp_path: Path) -> None:
    config = extract_config(tmp_path / "tiny.h5")
    starting = threading.Barrier(4)

    def attempt(_: int) -> str:
        starting.wait()
        try:
            return f"{extract(config).shards_kept} kept"
        except CacheError as refused:
            return str(refused)

    with ThreadPoolExecutor(4) as processes:
        outcomes = list(processes.map(attempt, range(4)))
    refused = [outcome for outcome in outcomes if "is being written by process" in outcome]
    rest = sorted(set(outcomes) - set(refused))
    assert rest in (["0 kept"], ["0 kept", "4 kept"]), outcomes
    assert outcomes.count("0 kept") == 1
    assert bytes_of(config.out) == bytes_of(tiny_cache)
    assert leftovers(config.out) == []


@pytest.fixture
def slow_batches(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Batches of 0.2 s; one entry for each that began. Two writers have 18 of them to do in 2 shards."""
    encode, begun = Encoder.encode_frames, []

    def slow(self: Encoder, *arguments: Any) -> Any:
        begun.append(True)
        time.sleep(0.2)
        return encode(self, *arguments)

    monkeypatch.setattr(Encoder, "encode_frames", slow)
    return begun


def two_writers(extract_config: Make, index: Path) -> ExtractConfig:
    return extract_config(index, devices=("cpu", "cpu"), shard_size=9, batch_size=2)


def test_an_interrupt_stops_several_writers_within_a_batch(
    extract_config: Make, tmp_path: Path, slow_batches: list[bool]
) -> None:
    config = two_writers(extract_config, tmp_path / "tiny.h5")

    def interrupt() -> None:
        while len(slow_batches) < 3:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        extract(config)
    thread.join()
    assert len(slow_batches) < 8, "it went on: three had begun, and each writer may begin another"
    assert published(config.out) == [], "half a shard was published"
    assert leftovers(config.out) == []


def test_an_interrupt_that_python_drops_ends_the_run_at_the_next_tracklet(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, begun = Encoder.encode_frames, []

    def interrupted(self: Encoder, *arguments: Any) -> Any:
        begun.append(arguments)
        thing = Thing()
        reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
        del thing  # the callback runs here, and Python prints and drops what it raises
        assert reference() is None
        return encode(self, *arguments)

    monkeypatch.setattr(Encoder, "encode_frames", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(extract_config(tmp_path / "tiny.h5", batch_size=2))
    assert len(begun) == 1


class Thing:
    """Something to refer to weakly."""


def test_a_writer_that_fails_stops_the_others_and_is_what_the_error_says(
    extract_config: Make, tmp_path: Path, slow_batches: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = two_writers(extract_config, tmp_path / "tiny.h5")
    slow, failures = Encoder.encode_frames, []

    def failing(self: Encoder, *arguments: Any) -> Any:
        if len(slow_batches) == 5 and not failures:
            failures.append(True)
            raise RuntimeError("CUDA error: an illegal memory access was encountered\nand more")
        return slow(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode_frames", failing)
        with pytest.raises(CacheError, match=r"the writer on cpu failed \(RuntimeError: CUDA error") as stopped:
            extract(config)
    assert str(tmp_path / "tiny") in str(stopped.value)
    assert "run the same command again" in str(stopped.value)
    assert len(slow_batches) < 9, "the other went on"
    assert published(config.out) == [], "half a shard was published"
    assert extract(config).shards_computed == 2
