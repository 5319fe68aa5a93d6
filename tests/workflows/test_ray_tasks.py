"""Trainings side by side on two workers of a real Ray cluster on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vpar_cache.errors import DataError, Stopped, UserError
from vpar_cache.extraction.executors.ray_session import ray_session
from vpar_cache.workflows.ray_tasks import DEATHS, completed, device_of_workers

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    with ray_session("local") as module:
        yield module


def work(task: tuple[Path, int]) -> int:
    """Kill the own process as often as the task says, counted in a file; then return how often."""
    marks, deaths = task
    if deaths < 0:
        raise DataError("--frames: got 3; expected 4")
    died = len(marks.read_bytes()) if marks.exists() else 0
    if died < deaths:
        with marks.open("ab") as file:
            file.write(b"x")
        os.kill(os.getpid(), signal.SIGKILL)
    return died


def test_a_task_whose_worker_is_killed_starts_again_and_after_three_deaths_is_left_out(
    ray: Any, tmp_path: Path
) -> None:
    tasks = [(tmp_path / str(deaths), deaths) for deaths in (0, 1, DEATHS - 1, DEATHS, DEATHS + 9)]
    results = {deaths: result for (_, deaths), result in completed(ray, work, tasks, device="cpu")}
    assert results == {0: 0, 1: 1, DEATHS - 1: DEATHS - 1, DEATHS: None, DEATHS + 9: None}
    assert len((tmp_path / str(DEATHS + 9)).read_bytes()) == DEATHS


def test_an_error_of_a_task_is_raised_as_it_is(ray: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^--frames: got 3; expected 4$"):
        list(completed(ray, work, [(tmp_path / "x", -1)], device="cpu"))


def test_tasks_are_read_when_a_worker_is_free_and_stop_is_asked(ray: Any, tmp_path: Path) -> None:
    tasks = ((tmp_path / str(number), 0) for number in range(10**9))
    results = completed(ray, work, tasks, device="cpu")
    assert next(results)[1] == 0
    with pytest.raises(Stopped):
        list(completed(ray, work, tasks, device="cpu", stop=lambda: True))


def test_a_gpu_that_the_cluster_lacks_is_refused(ray: Any) -> None:
    assert device_of_workers(ray, "cpu") == "cpu"
    if "GPU" not in ray.cluster_resources():
        assert device_of_workers(ray, "auto") == "cpu"
        with pytest.raises(UserError, match=r"--device.*cuda:0"):
            device_of_workers(ray, "cuda:0")
