"""Extraction on a Ray cluster: the bytes of a local run, whoever is killed."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.extraction.executors.conftest import NUM_SHARDS
from tests.support.comparing import bytes_of, leftovers, published
from tests.support.processes import Extractions, ended, wait_for_shards, wait_until
from vpar_cache.datasets.decoding import preprocessing_identity
from vpar_cache.errors import UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import EncoderIdentity
from vpar_cache.extraction.executors.ray_actors import RayExecutor, _Actor
from vpar_cache.extraction.executors.ray_nodes import Node
from vpar_cache.extraction.executors.ray_session import ray_session
from vpar_cache.extraction.executors.ray_worker import RayWorker, Started

IDENTITY = EncoderIdentity({"precision": "fp32"}, {}, "random:0", 4, 8)
Make = Callable[..., ExtractConfig]


def ray_workers() -> list[int]:
    """Return the processes of our workers in the cluster that this process started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        pid = int(folder.name)
        if title.startswith(b"ray::RayWorker") and _parent(_parent(pid)) == os.getpid():
            found.append(pid)
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


# --- no cluster needed ---


def test_without_ray_the_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--executor ray: .*pip install 'vpar-cache\[ray\]'"), ray_session(None):
        pass


def test_where_nothing_answers_the_line_names_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with (
            pytest.raises(UserError, match=f"--ray-address: got {address}; nothing answers"),
            ray_session(address),
        ):
            pass
    for wrong in ("here", "ray://somewhere:1", "host:port"):
        with pytest.raises(UserError, match="expected auto, local or HOST:PORT"), ray_session(wrong):
            pass


def test_a_worker_of_another_version_is_refused_before_it_builds_an_encoder(
    extract_config: Make, tmp_path: Path
) -> None:
    probe = tmp_path / "probe"
    probe.touch()
    worker = RayWorker((extract_config(tmp_path / "a.h5", backbone="open_clip:missing"), probe), 1)
    with pytest.raises(UserError, match=r"the driver 0\.0\.9; install the same version"):
        worker.start("0.0.9")


def test_a_worker_that_does_not_see_the_output_folder_is_refused_before_it_builds_an_encoder(
    extract_config: Make, tmp_path: Path
) -> None:
    from vpar_cache import __version__

    config = extract_config(tmp_path / "a.h5", backbone="open_clip:missing")
    worker = RayWorker((config, tmp_path / "elsewhere" / "probe"), 1)
    with pytest.raises(UserError, match=f"--out: .* does not see {tmp_path / 'elsewhere'}"):
        worker.start(__version__)


# --- one cluster for all ---


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of two cores on this machine; yields its address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        started = ray.init("local", num_cpus=2, num_gpus=0, log_to_driver=False, include_dashboard=None)
        yield started.address_info["gcs_address"]
        ray.shutdown()


def on(cluster: str) -> tuple[str, ...]:
    return ("--executor=ray", f"--ray-address={cluster}", "--workers-per-node=2")


@pytest.mark.slow
def test_two_actors_publish_the_bytes_of_a_local_run_and_their_rates_are_told(
    cluster: str, extractions: Extractions, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.h5"
    said = extractions.run(out, *on(cluster))
    assert bytes_of(out) == bytes_of(undisturbed)
    assert leftovers(tmp_path) == []
    assert sum(rates(said)) == 80
    assert len(rates(said)) == 2


def rates(said: str) -> list[int]:
    """Return how many tracklets each worker encoded."""
    found = re.findall(r"ray: process \d+ on .*: (\d+) tracklets?, [\d.]+ a second, \d+% of the time", said)
    return [int(count) for count in found]


@pytest.mark.slow
def test_as_many_shards_as_actors_give_each_actor_one(
    cluster: str, extractions: Extractions, tmp_path: Path
) -> None:
    said = extractions.run(tmp_path / "tiny.h5", *on(cluster), "--shard-size=40")
    assert rates(said) == [40, 40]


@pytest.mark.slow
def test_one_actor_killed_in_mid_shard_changes_no_byte(
    cluster: str, extractions: Extractions, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.h5"
    process = extractions.start(out, *on(cluster))
    wait_for_shards(out, 2, process)
    victim = ray_workers()[0]
    os.kill(victim, signal.SIGKILL)
    said = ended(process)
    assert f"process {victim} on {socket.gethostname()} died; another worker computes" in said
    assert bytes_of(out) == bytes_of(undisturbed)
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_driver_killed_and_run_again_changes_no_byte(
    cluster: str, extractions: Extractions, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.h5"
    process = extractions.start(out, *on(cluster))
    wait_for_shards(out, 2, process)
    process.kill()
    ended(process, -signal.SIGKILL)
    kept = len(published(out))
    assert 2 <= kept < NUM_SHARDS
    assert not out.exists()
    said = extractions.run(out, *on(cluster))
    encoded = int(re.findall(r"encoded (\d+)", said)[0])
    assert encoded <= 80 - 4 * kept
    assert bytes_of(out) == bytes_of(undisturbed)
    assert leftovers(tmp_path) == []
    wait_until(lambda: ray_workers() == [])


@pytest.mark.slow
def test_a_cluster_without_gpus_is_one_line(cluster: str, extractions: Extractions, tmp_path: Path) -> None:
    said = ended(
        extractions.start(tmp_path / "a.h5", "--executor=ray", f"--ray-address={cluster}", "--device=auto"), 2
    )
    assert "error: --executor ray: the cluster (1 machine) has no GPU; use --device cpu" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"identity": dataclasses.replace(IDENTITY, weights_name="random:1")},
        {"identity": dataclasses.replace(IDENTITY, visual={"precision": "bf16"})},
        {"preprocessing": {**preprocessing_identity(), "decoded_samples": "others"}},
    ],
)
def test_a_worker_that_would_compute_other_features_is_refused(
    changes: dict[str, Any], cluster: str, extract_config: Make, tmp_path: Path
) -> None:
    import ray

    executor = RayExecutor(extract_config(tmp_path / "a.h5", executor="ray"), print, lambda: False)
    executor._ray = ray
    first = Started("a", IDENTITY, preprocessing_identity(), ())
    executor._check(_Actor(None, Node(1, {}), ray.put(first)))
    second = dataclasses.replace(first, name="b", **changes)
    with pytest.raises(UserError, match=r"b would compute other features .*(random:1|bf16|others) against"):
        executor._check(_Actor(None, Node(1, {}), ray.put(second)))
