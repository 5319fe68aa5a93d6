"""Threads follow what this process may use, whatever the machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vpar_cache.base import cores
from vpar_cache.base.cores import usable_cores


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 96 cores, all of them in the affinity, without cgroups and without Slurm."""
    monkeypatch.setattr(cores, "_ROOT", tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 96)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(96)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    return tmp_path


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_without_limits_it_is_the_machine(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores() == 96
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert usable_cores() == 96


def test_affinity_limits(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7})
    assert usable_cores() == 3


@pytest.mark.skipif(sys.platform != "linux", reason="sets the affinity of a process")
def test_a_process_bound_to_one_core_uses_one() -> None:
    core = min(os.sched_getaffinity(0))
    code = f"import os\nos.sched_setaffinity(0, [{core}])\nfrom vpar_cache.base import cores as c\n"
    code += "print(c.usable_cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"1"


@pytest.mark.parametrize(("value", "wanted"), [("4", 4), ("200", 96), ("", 96), ("x", 96), ("0", 1)])
def test_slurm_limits(system: Path, monkeypatch: pytest.MonkeyPatch, value: str, wanted: int) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", value)
    assert usable_cores() == wanted


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "250000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 96),
        (  # the group around it has the quota
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            },
            2,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1),  # a container
        ({"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/cpu.max": "400000 100000"}, 4),
        (  # version 1
            {
                "proc/self/cgroup": "5:memory:/m\n3:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "600000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            6,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            96,
        ),
    ],
)
def test_quotas_of_cgroups_limit(system: Path, files: dict[str, str], wanted: int) -> None:
    write(system, files)
    assert usable_cores() == wanted


def test_torch_computes_on_no_more_threads_than_cores(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(8)
        cores.limit_torch_threads()
        assert torch.get_num_threads() == 8
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
        cores.limit_torch_threads()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
