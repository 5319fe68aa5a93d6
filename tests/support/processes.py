"""`vpar extract` in processes of its own, on one thread each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.comparing import published


class Extractions:
    """Starts `vpar extract` on one small dataset, with a backbone that every process can build."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def start(self, out: Path, *more: str) -> subprocess.Popen[str]:
        options = {
            "dataset": "mars", "root": self._root, "out": out, "device": "cpu", "backbone": "timm:test_vit",
            "weights": "random:0", "text": "none", "precision": "fp32", "frames": 4, "shard-size": 4,
        }  # fmt: skip
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return subprocess.Popen(
            [sys.executable, "-m", "vpar_cache", "extract", *arguments, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def run(self, out: Path, *more: str) -> str:
        """Run to the end; return what it says."""
        return ended(self.start(out, *more))


def ended(process: subprocess.Popen[str], status: int = 0) -> str:
    """Wait for the end and return what the process said; it must end with this status."""
    printed, said = process.communicate(timeout=400)
    assert process.returncode == status, said
    assert "Traceback" not in said
    if status == 0:
        assert len(printed.splitlines()) <= 1, "standard output holds the path alone"
    return said


def wait_for_shards(out: Path, number: int, process: subprocess.Popen[str]) -> None:
    wait_until(lambda: len(published(out)) >= number or process.poll() is not None)
    assert process.poll() is None, "it ended too early"


def wait_until(holds: Callable[[], bool], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)
