"""Trainings side by side on a Ray cluster: one a GPU, or one a core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from vpar_cache.base.callbacks import Stop, check_stop, never
from vpar_cache.base.checks import check_choice
from vpar_cache.errors import UserError
from vpar_cache.training.config import TrainConfig

EXECUTORS = ("local", "ray")
DEATHS = 3
"""So often a task may take its worker process with it; then it is left out."""
_POLL_SECONDS = 0.5
"""How often `stop` is asked."""

Task = TypeVar("Task")
Result = TypeVar("Result")


def check_executor(executor: str, ray_address: str | None) -> None:
    """Raise UserError for a name that is none of EXECUTORS, or an address without Ray."""
    check_choice("--executor", executor, EXECUTORS)
    if ray_address is not None and executor != "ray":
        raise UserError(f"--ray-address applies to --executor ray, not to {executor}; leave it out")


def device_of_workers(ray: Any, device: str) -> str:
    """Return the --device of each worker: `auto`, its one GPU, where the cluster has GPUs; else `cpu`.

    Raises UserError where `device` is a GPU and the cluster has none.
    """
    gpus = int(ray.cluster_resources().get("GPU", 0))
    if device.startswith("cuda") and not gpus:
        raise UserError(
            f"--device: got {device}; the Ray cluster has no GPU. Use --device cpu, or add a node with one"
        )
    return "auto" if gpus and device != "cpu" else "cpu"


def for_worker(config: TrainConfig, device: str) -> TrainConfig:
    """Return the same settings with paths that are right in any folder, and the worker's device."""
    return replace(
        config,
        features=tuple(path.absolute() for path in config.caches),
        runs=Path(config.runs).absolute(),
        folds=None if config.folds is None else Path(config.folds).absolute(),
        device=device,
    )


def completed(
    ray: Any, work: Callable[[Task], Result], tasks: Iterable[Task], *, device: str, stop: Stop = never
) -> Iterator[tuple[Task, Result | None]]:
    """Yield each task with the result of `work(task)`, in the order in which they end.

    `tasks` is read when a worker is free. `device`: as device_of_workers returned it. A worker has one GPU, or one
    core on which it computes with one thread. The result is None for a task whose worker died DEATHS times. Raises
    what `work` raises, and Stopped.
    """
    share = {"num_cpus": 1} if device == "cpu" else {"num_cpus": 1, "num_gpus": 1}
    resources = ray.cluster_resources()
    at_once = max(1, int(resources.get("CPU" if device == "cpu" else "GPU", 1)))
    remote = ray.remote(max_retries=DEATHS - 1, **share)(work)
    waiting = iter(tasks)
    pending: dict[Any, Task] = {}
    while True:
        for task in islice(waiting, at_once - len(pending)):
            pending[remote.remote(task)] = task
        if not pending:
            return
        check_stop(stop)
        done, _ = ray.wait(list(pending), timeout=_POLL_SECONDS)
        for reference in done:
            yield pending.pop(reference), _result(ray, reference)


def _result(ray: Any, reference: Any) -> Any:
    """Return what the worker returned, None where it died; raise what it raised."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError:  # the process or its machine is gone
        return None
