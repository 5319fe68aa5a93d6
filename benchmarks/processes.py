"""Whole processes under the clock: the program as its users start it, and what stands beside it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from paired import alternate, median_ratio, median_seconds

_VPAR = "import sys; from vpar_cli.main import run; sys.exit(run())"
"""What the installed script `vpar` does, with the interpreter that runs the benchmark."""


def vpar(*arguments: str | Path) -> list[str]:
    """The command line."""
    return [sys.executable, "-c", _VPAR, *map(str, arguments)]


def run_quietly(command: list[str], folder: Path | None = None) -> str:
    """stdout of a process that must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def compare_processes(ours: list[str], theirs: list[str], repeats: int) -> float:
    """Seconds of ours / seconds of theirs, the median over pairs; both are printed."""
    pairs = alternate(lambda: run_quietly(ours), lambda: run_quietly(theirs), repeats=repeats)
    ratio = 1 / median_ratio(pairs)
    seconds, beside = median_seconds(pairs)
    spread = statistics.quantiles([ours / theirs for ours, theirs in pairs])
    print(f"ours {seconds:.3f} s, beside it {beside:.3f} s")
    print(f"half of the ratios lie in {spread[0]:.3f}..{spread[2]:.3f}")
    return ratio


def peak_bytes(command: list[str]) -> int:
    """The largest resident set that a process ever had, as the kernel counts it. It must succeed."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(
                f"{' '.join(command)} ended with status {process.returncode}: {output.read()[-2000:].decode()}"
            )
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
