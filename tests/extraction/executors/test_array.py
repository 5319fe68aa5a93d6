"""Array tasks, and processes that share a cache: the bytes of one run, whoever is killed and however often."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.extraction.executors.conftest import NUM_SHARDS, NUM_TRACKLETS
from tests.support.comparing import bytes_of, leftovers, published
from tests.support.processes import Extractions, ended, wait_for_shards
from vpar_cache.base.lock import fellow_writer
from vpar_cache.cache import format as fmt
from vpar_cache.errors import BeingWrittenError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

PROJECT = Path(__file__).resolve().parents[3]
Make = Callable[..., ExtractConfig]


# --- in this process ---


def test_each_task_computes_its_shards_and_the_plain_command_only_writes_the_index(
    extract_config: Make, tiny_cache: Path, tmp_path: Path
) -> None:
    config = extract_config(tmp_path / "tiny.h5")
    tasks = [extract(replace(config, task=(i, 3))) for i in (2, 0, 1)]
    assert [task.shards_written for task in tasks] == [1, 2, 1], "4 shards: number modulo 3"
    assert sum(task.encoded for task in tasks) == 18
    assert not config.out.exists()
    assert list(fmt.shard_folder(config.out).glob("hints-*-of-3.json"))
    whole = extract(config)
    assert (whole.encoded, whole.copied, whole.shards_kept) == (0, 18, 4)
    assert bytes_of(config.out) == bytes_of(tiny_cache)
    assert leftovers(tmp_path) == []
    assert [path.name for path in fmt.shard_folder(config.out).glob("hints*.json")] == ["hints.json"]


def test_a_task_that_runs_twice_encodes_nothing_again(extract_config: Make, tmp_path: Path) -> None:
    config = extract_config(tmp_path / "tiny.h5", task=(0, 2))
    first, second = extract(config), extract(config)
    assert (first.encoded > 0, second.encoded, second.shards_written) == (True, 0, 0)


def test_the_plain_command_computes_what_tasks_left(
    extract_config: Make, tiny_cache: Path, tmp_path: Path
) -> None:
    config = extract_config(tmp_path / "tiny.h5")
    done = extract(replace(config, task=(1, 2))).encoded
    assert extract(config).encoded == 18 - done
    assert bytes_of(config.out) == bytes_of(tiny_cache)


def test_more_tasks_than_shards_leave_some_with_nothing_to_do(extract_config: Make, tmp_path: Path) -> None:
    result = extract(extract_config(tmp_path / "tiny.h5", task=(99, 100)))
    assert (result.encoded, result.shards_kept, result.shards_written) == (0, 0, 0)


def test_tasks_complete_a_published_cache_without_touching_its_index(extract_config: Make, tmp_path: Path) -> None:
    config, plain = (extract_config(tmp_path / name / "tiny.h5") for name in ("tasks", "plain"))
    for each in (config, plain):
        extract(replace(each, limit=9))
    before = bytes_of(config.out)
    for i in range(2):
        extract(replace(config, task=(i, 2)))
        assert before.items() <= bytes_of(config.out).items()
    assert (extract(config).encoded, extract(plain).encoded) == (0, 9)
    assert bytes_of(config.out) == bytes_of(plain.out)


@pytest.mark.parametrize("task", [(2, 2), (-1, 2), (0, 0)])
def test_a_task_out_of_range_is_refused(task: tuple[int, int], extract_config: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"--task: got {task[0]}/{task[1]}; expected I/N"):
        extract_config(tmp_path / "a.h5", task=task)


def test_overwrite_needs_the_cache_alone(extract_config: Make, tmp_path: Path) -> None:
    config = extract_config(tmp_path / "tiny.h5", overwrite=True)
    with fellow_writer(config.out), pytest.raises(BeingWrittenError, match=f"process {os.getpid()} on host"):
        extract(config)
    with pytest.raises(UserError, match="--task cannot be combined with --overwrite"):
        replace(config, task=(0, 2))


def test_what_others_may_still_need_is_not_removed(extract_config: Make, tmp_path: Path) -> None:
    """A run with other shards beside one that works: nothing is removed before it ends."""
    config = extract_config(tmp_path / "tiny.h5", shard_size=3)
    extract(replace(config, task=(0, 2)))
    of_task = set(published(config.out))
    said: list[str] = []
    with fellow_writer(config.out):
        extract(replace(config, shard_size=7), say=said.append)
        assert of_task < set(published(config.out))
        assert any("the shards that the index does not list stay for now" in line for line in said)
    extract(replace(config, shard_size=7))
    assert not of_task & set(published(config.out))


# --- in processes of their own ---


@pytest.mark.slow
def test_two_tasks_at_once_then_the_plain_command(
    extractions: Extractions, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.h5"
    tasks = [extractions.start(out, f"--task={i}/2") for i in range(2)]
    for task in tasks:
        said = ended(task)
        assert re.search(r"task \d/2: 10 shards in [\d.]+ s: encoded 40, copied 0; run the same command", said)
    assert len(published(out)) == NUM_SHARDS
    assert not out.exists()
    assert f"encoded 0, copied {NUM_TRACKLETS}" in extractions.run(out)
    assert bytes_of(out) == bytes_of(undisturbed)
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_killed_task_beside_another_leaves_nothing_wrong(
    extractions: Extractions, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.h5"
    dies, lives = (extractions.start(out, f"--task={i}/2") for i in range(2))
    wait_for_shards(out, 1, dies)
    dies.kill()
    ended(dies, -signal.SIGKILL)
    ended(lives)
    extractions.run(out)
    assert bytes_of(out) == bytes_of(undisturbed)
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_eight_processes_and_fifty_kills_end_in_the_bytes_of_an_undisturbed_run() -> None:
    """See benchmarks/kill_together.py for what it checks after each kill."""
    stress = subprocess.run(
        [sys.executable, "benchmarks/kill_together.py", "--processes", "8", "--kills", "50"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert stress.returncode == 0, stress.stdout + stress.stderr
    figure = json.loads(stress.stdout.splitlines()[-1])
    assert (figure["met"], figure["survived"], figure["processes"]) == (True, 50, 8)
