"""Ray and Slurm, as the environment tells of them."""

from __future__ import annotations

import pytest

from vpar_cache.workflows.doctor import cluster
from vpar_cache.workflows.doctor.cluster import check_cluster


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster."""
    for name in ("RAY_ADDRESS", "SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")


def test_without_a_cluster_nothing_is_wrong() -> None:
    check = check_cluster()
    assert check.state == "ok"
    assert "RAY_ADDRESS is not set" in check.text
    assert "no Slurm" in check.text


def test_an_address_without_ray_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise cluster.PackageNotFoundError(name)

    monkeypatch.setattr(cluster, "version", absent)
    assert check_cluster().state == "ok"
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    check = check_cluster()
    assert check.state == "warning"
    assert "RAY_ADDRESS=head:6379" in check.text
    assert ".[ray]" in check.text


def test_an_array_task_of_slurm_gets_its_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert "in Slurm job 17" in check_cluster().text
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "8")
    assert "--task 3/8" in check_cluster().text
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "8")  # an array that starts at 1
    assert "--task" not in check_cluster().text
