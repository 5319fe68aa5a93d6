"""How many processor cores this process may use: often fewer than the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")
"""Where /proc and /sys lie."""


def usable_cores() -> int:
    """Return the least of what limits this process: the machine, affinity, a quota of its cgroup, Slurm's task."""
    # sched_getaffinity is missing on macOS, which has no affinity.
    machine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    limits = [machine, *_quotas(), *([int(slurm)] if slurm.isdecimal() else [])]
    return max(1, min(limits))


def limit_torch_threads() -> None:
    """Let torch compute on no more threads than cores: it knows affinity and OMP_NUM_THREADS, but no quota."""
    import torch

    if torch.get_num_threads() > usable_cores():
        torch.set_num_threads(usable_cores())


def share_threads(workers: int) -> None:
    """Let this thread of a process, or this process, compute on at most cores / `workers` threads."""
    import torch

    if workers > 1:
        torch.set_num_threads(min(torch.get_num_threads(), max(1, usable_cores() // workers)))


def _quotas() -> Iterator[int]:
    """Yield the cores of each quota on this process, rounded up: of its cgroup and of all around it."""
    for group in _text(_ROOT / "proc/self/cgroup").splitlines():
        number, _, rest = group.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:  # version 2: "quota period", or "max period"
            for folder in _upwards(_ROOT / "sys/fs/cgroup", path):
                yield from _cores(_text(folder / "cpu.max").split())
        elif "cpu" in controllers.split(","):  # version 1: -1 is no quota
            for folder in _upwards(_ROOT / "sys/fs/cgroup/cpu", path):
                yield from _cores([_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")])


def _upwards(top: Path, path: str) -> Iterator[Path]:
    """Yield a group's folder and those around it. In a container the path may not exist: then only the top."""
    folder = top / path.lstrip("/")
    while folder != top and ".." not in folder.parts:
        yield folder
        folder = folder.parent
    yield top


def _cores(numbers: list[str]) -> Iterator[int]:
    """Yield quota / period, where there is a quota."""
    if len(numbers) == 2 and all(number.isdecimal() for number in numbers) and int(numbers[1]) > 0:
        yield math.ceil(int(numbers[0]) / int(numbers[1]))


def _text(path: Path) -> str:
    """Return the text of a file of the system, empty where it cannot be read: then it limits nothing."""
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""
