"""Ray and Slurm around this process: what the environment says. Nothing is asked over the network."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import PackageNotFoundError, version

from vpar_cache.workflows.doctor.check import Check, State


def check_cluster() -> Check:
    """Return whether Ray can be used, and what Slurm gave this process."""
    state, ray = _ray()
    return Check("cluster", state, f"{ray}; {_slurm()}")


def _ray() -> tuple[State, str]:
    address = os.environ.get("RAY_ADDRESS")
    shown = f"RAY_ADDRESS={address}" if address else "RAY_ADDRESS is not set"
    try:
        return "ok", f"ray {version('ray')} is installed, {shown}"
    except PackageNotFoundError:
        fix = ": pip install '.[ray]' for --executor ray"
        return ("warning" if address else "ok"), f"ray is not installed, {shown}{fix if address else ''}"


def _slurm() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        if shutil.which("sbatch"):
            return "Slurm is here, and this is none of its jobs: start long work with sbatch (docs/cluster.md)"
        return "no Slurm"
    text = f"in Slurm job {job}"
    if cores := os.environ.get("SLURM_CPUS_PER_TASK"):
        text += f", {cores} cores a task"
    task, count = os.environ.get("SLURM_ARRAY_TASK_ID"), os.environ.get("SLURM_ARRAY_TASK_COUNT")
    if task is not None:
        text += f", array task {task}{f' of {count}' if count else ''}"
        if count and task.isdecimal() and count.isdecimal() and int(task) < int(count):
            text += f": vpar extract --task {task}/{count} computes its part"
    return text
