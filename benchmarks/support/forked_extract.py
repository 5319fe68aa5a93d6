"""Forks of one warm process that run `vpar extract` on a small dataset, for kill_resume.py.

A fork does not import torch again. The architecture is tiny and the shards are many, so that most of the time
is spent on writing, which a kill should hit.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import open_clip
import torch

import vpar_cache.extraction.extract  # noqa: F401, what `vpar extract` imports late
from tests.support.tiny_clip import TINY_BACKBONE, TINY_CLIP
from vpar_cache.base.files import PARTIAL_SUFFIX
from vpar_cache.cache.writer import ShardContents
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.extraction.plan import ShardTask
from vpar_cache.extraction.shard import compute_shard, copy_shard
from vpar_cli.main import run

TRACKLETS = DemoSize(train_people=20, test_people=20, tracklets_per_person=2, frames=3)
TRACKLETS_PER_SHARD = 2


class BrokenPromiseError(Exception):
    """The extraction did not keep a promise."""


class Forks:
    """Where the dataset, the caches and the logs are."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)  # a pool of threads does not survive a fork
        self.folder = folder
        architecture = folder / f"{TINY_BACKBONE}.json"
        architecture.write_text(json.dumps(TINY_CLIP), "utf-8")
        open_clip.add_model_config(architecture)
        self._root = write_demo(folder / "tracklets", TRACKLETS, 0)

    def start(self, index: Path, writers: int, **changes: object) -> int:
        """Extract the dataset into `index`; `changes`: other options than usual."""
        options = {
            "dataset": "mars",
            "root": self._root,
            "out": index,
            "device": "cpu",
            "backbone": TINY_BACKBONE,
            "weights": "random:0",
            "precision": "fp32",
            "frames": 2,
            "shard-size": TRACKLETS_PER_SHARD,
            "workers": 2,
            **changes,
        }
        index.parent.mkdir(parents=True, exist_ok=True)
        journal = index.parent / "journal"
        journal.unlink(missing_ok=True)
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return self.fork(lambda: extract_noting(arguments, writers, journal))

    def fork(self, work: Callable[[], object]) -> int:
        """Run `work` in a fork; its output, and the traceback of an uncaught error, goes to a log."""
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            with (self.folder / f"log-{os.getpid()}").open("w") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            work()
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:  # noqa: BLE001, it is written down, and a fork must not come back
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def wait(self, pid: int, *expected: int) -> int:
        status = os.waitpid(pid, 0)[1]
        log = self.folder / f"log-{pid}"
        text = log.read_text() if log.exists() else ""
        if status not in expected or "Traceback" in text:
            raise BrokenPromiseError(f"wait status {status} instead of {expected}: {text[-3000:]}")
        log.unlink(missing_ok=True)
        return status


def extract_noting(arguments: list[str], writers: int, journal: Path) -> None:
    """Run `vpar extract`; write to `journal` which shards are begun."""
    notes = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def noting(task: ShardTask, *rest: Any) -> ShardContents:
        os.write(notes, f"{task.number}\n".encode())
        return compute_shard(task, *rest)

    def noting_copy(task: ShardTask, *rest: Any) -> ShardContents:
        os.write(notes, f"{task.number}\n".encode())
        return copy_shard(task, *rest)

    with (
        mock.patch("vpar_cache.extraction.executors.writing.compute_shard", noting),
        mock.patch("vpar_cache.extraction.extract.copy_shard", noting_copy),
        mock.patch("vpar_cli.extract.devices_of", return_value=("cpu",) * writers),
        mock.patch("sys.argv", ["vpar", "extract", *arguments]),
    ):
        run()


def ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def is_locked_by(pid: int, index: Path) -> bool:
    lock = index.with_name(f".{index.name}.lock")
    try:
        return f"process {pid} " in lock.read_text()
    except FileNotFoundError:
        return False


def published(index: Path) -> set[str]:
    return {path.name for path in index.with_suffix("").glob("shard-*.h5")}


def shard_numbers(index: Path) -> dict[str, int]:
    """Return the number of the task that makes each shard of a finished cache, by file name.

    Without `read_index`: its hash starts threads, which a fork would miss.
    """
    with h5py.File(index, "r", locking=False) as file:
        return {name.decode(): number for number, name in enumerate(file["shards"]["file"])}


def contents(index: Path) -> dict[str, bytes]:
    """Return the bytes of the index and all shards."""
    files = (*index.with_suffix("").glob("*.h5"), *index.parent.glob("*.h5"))
    return {path.name: path.read_bytes() for path in files if not path.name.startswith(".")}


def leftovers(index: Path) -> list[Path]:
    """Return the files that only a run in progress may have there."""
    places = (index.parent, index.with_suffix(""))
    return [p for place in places for p in place.glob(".*") if p.suffix in (PARTIAL_SUFFIX, ".lock")]
