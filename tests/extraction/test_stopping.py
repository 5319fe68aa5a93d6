"""An extraction that is killed, interrupted or terminated at any moment goes on from there."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.comparing import bytes_of, leftovers, published
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.errors import Stopped
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors import local
from vpar_cache.extraction.extract import extract

PROJECT = Path(__file__).resolve().parents[2]

Make = Callable[..., ExtractConfig]


@pytest.mark.slow
def test_killed_interrupted_or_terminated_anywhere_it_ends_in_the_bytes_of_an_undisturbed_run() -> None:
    """In real processes: see benchmarks/kill_resume.py for all that it checks after each kill."""
    stress = subprocess.run(
        [sys.executable, "benchmarks/kill_resume.py", "--kills", "12", "--signals", "KILL,INT,TERM"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert stress.returncode == 0, stress.stdout + stress.stderr
    figure = json.loads(stress.stdout.splitlines()[-1])
    assert figure["met"] is True
    assert figure["survived"] == figure["kills"] == 12


def test_several_at_once_compute_each_shard_once_and_end_in_the_same_bytes(
    extract_config: Make, tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, one_at_a_time = local.build_encoder, threading.Lock()

    def build_alone(config: ExtractConfig) -> Encoder:
        with one_at_a_time:  # random weights are drawn from torch's global generator
            return build(config)

    monkeypatch.setattr(local, "build_encoder", build_alone)
    config = extract_config(tmp_path / "tiny.h5")
    starting = threading.Barrier(4)

    def attempt(_: int) -> tuple[int, int]:
        starting.wait()
        result = extract(config)
        return result.encoded, result.copied

    with ThreadPoolExecutor(4) as processes:
        outcomes = list(processes.map(attempt, range(4)))
    assert sum(encoded for encoded, _ in outcomes) == 18
    assert {encoded + copied for encoded, copied in outcomes} == {18}
    assert bytes_of(config.out) == bytes_of(tiny_cache)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu")])
def test_stop_ends_the_run_within_a_batch_and_keeps_what_is_published(
    devices: tuple[str, ...],
    extract_config: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encode, begun = Encoder.encode_frames, []

    def counted(self: Encoder, *arguments: Any) -> Any:
        begun.append(True)
        return encode(self, *arguments)

    monkeypatch.setattr(Encoder, "encode_frames", counted)
    config = extract_config(tmp_path / "tiny.h5", devices=devices, batch_size=10)
    with pytest.raises(Stopped):
        extract(config, stop=lambda: bool(published(config.out)))
    assert len(begun) < 4
    kept = len(published(config.out))
    assert 1 <= kept < 4
    assert not config.out.exists()
    assert leftovers(tmp_path) == []
    assert extract(config).shards_kept == kept
    whole = extract_config(tmp_path / "whole" / "tiny.h5", batch_size=10)
    extract(whole)
    assert bytes_of(config.out) == bytes_of(whole.out)
