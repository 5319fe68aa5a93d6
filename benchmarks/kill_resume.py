"""Kill an extraction with SIGKILL again and again, resume it, and compare every byte with an undisturbed run.

    python benchmarks/kill_resume.py --kills 200

One process imports everything, then every run of `vpar extract` is a fork of it, so that a kill costs its run
and not the start of torch. Half of the kills fall at a random moment of an undisturbed run's duration, half just
after a random shard, or the index, has begun to be written. Rounds alternate between one writer and two.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import open_clip
import torch

from vpar_cache.config import ExtractConfig
from vpar_cache.extract import extract_features
from vpar_cache.files import PARTIAL_SUFFIX
from vpar_cache.shard_headers import read_shard_header
from vpar_cache.shard_plan import ShardTask
from vpar_cache.shard_rows import compute_shard
from vpar_cache.shards import ShardContents
from vpar_cache.tracklets.synthetic import DemoSize, write_demo
from vpar_cache.verify import verify_cache

BACKBONE = "vpar-kill-tiny"
ARCHITECTURE = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
TRACKLETS = DemoSize(train_people=20, test_people=20, tracklets_per_person=2, frames=3)
TRACKLETS_PER_SHARD = 2
AFTER_BEGINNING_OF_WRITE_S = 0.004


class BrokenPromiseError(Exception):
    """The extraction did not keep a promise."""


@dataclass
class Summary:
    """Where the kills fell."""

    kills: int = 0
    rounds: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    lost: Counter[int] = field(default_factory=Counter)
    """How often so many begun shards were lost."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    with tempfile.TemporaryDirectory(prefix="vpar-kill-") as folder:
        sys.exit(0 if Stress(Path(folder), random.Random(options.seed)).run(options.kills) else 1)


class Stress:
    """Rounds of kills against one small dataset."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._folder = folder
        self._rng = rng
        architecture = folder / f"{BACKBONE}.json"
        architecture.write_text(json.dumps(ARCHITECTURE), "utf-8")
        open_clip.add_model_config(architecture)
        self._root = write_demo(folder / "tracklets", TRACKLETS, 0)
        self._reference = folder / "undisturbed" / "cache.h5"
        started = time.monotonic()
        self._wait(self._start(self._reference, 1))
        self._duration = time.monotonic() - started
        self._shards = len(published(self._reference))
        self._bytes = contents(self._reference)
        self.summary = Summary()

    def run(self, kills: int) -> bool:
        """Print the summary; its last line is JSON. False when a promise was broken."""
        print(f"undisturbed: {self._shards} shards in {self._duration:.2f} s", flush=True)
        started, problem = time.monotonic(), ""
        try:
            while self.summary.kills < kills:
                self._round(kills)
        except BrokenPromiseError as broken:
            problem = str(broken)
            print(f"BROKEN after {self.summary.kills} kills: {problem}")
        done = self.summary
        print(f"{done.kills} kills in {done.rounds} finished rounds, {time.monotonic() - started:.0f} s")
        print("killed: " + ", ".join(f"{moment} {n}" for moment, n in sorted(done.moments.items())))
        print(
            "begun shards lost by a kill: " + ", ".join(f"{n}: {times}" for n, times in sorted(done.lost.items()))
        )
        print(
            json.dumps(
                {
                    "figure": "SIGKILLs after which a resumed cache equals an undisturbed one, byte for byte",
                    "kills": done.kills,
                    "survived": done.kills - bool(problem),
                    "met": not problem and done.kills >= kills,
                }
            )
        )
        return not problem

    def _round(self, kills: int) -> None:
        """One cache, killed until it is done."""
        writers = 1 + self.summary.rounds % 2
        index = self._folder / f"round-{self.summary.rounds}" / "cache.h5"
        while True:
            before = published(index)
            last = self.summary.kills >= kills  # let it finish
            pid = self._start(index, writers)
            if last or not self._strike(pid, index):
                self._wait(pid)
                break
            self._wait(pid, killed=True)
            self.summary.kills += 1
            self._check_after_kill(index, before, pid, writers)
        if contents(index) != self._bytes:
            raise BrokenPromiseError(f"the finished cache {index} differs from an undisturbed one")
        if left := [path.name for path in leftovers(index)]:
            raise BrokenPromiseError(f"a finished run leaves {left}")
        shutil.rmtree(index.parent)
        self.summary.rounds += 1

    def _start(self, index: Path, writers: int) -> int:
        config = ExtractConfig(
            dataset="mars",
            root=self._root,
            out=index,
            devices=("cpu",) * writers,
            backbone=BACKBONE,
            weights="random:0",
            precision="fp32",
            frames=2,
            shard_size=TRACKLETS_PER_SHARD,
            workers=2,
        )
        index.parent.mkdir(parents=True, exist_ok=True)
        journal = index.parent / "journal"
        journal.unlink(missing_ok=True)
        return self._fork(lambda: extract_noting(config, journal))

    def _fork(self, work: Callable[[], object]) -> int:
        """Run `work` in a fork: exit status 0, or 1 with the traceback in a log."""
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            with (self._folder / f"log-{os.getpid()}").open("w") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                work()
            status = 0
        except BaseException:  # noqa: BLE001, it is written down, and a fork must not come back
            traceback.print_exc()
        finally:
            os._exit(status)

    def _wait(self, pid: int, killed: bool = False) -> None:
        status = os.waitpid(pid, 0)[1]
        log = self._folder / f"log-{pid}"
        if not killed and status:
            raise BrokenPromiseError(f"wait status {status}: {log.read_text()[-2000:]}")
        log.unlink(missing_ok=True)

    def _strike(self, pid: int, index: Path) -> bool:
        """Kill at a random moment; False when the run had ended before."""
        kind = self._rng.random()
        if kind < 0.5:
            time.sleep(self._rng.uniform(0, self._duration))
        else:
            if kind < 0.9:
                wait_for_write(pid, index, ".shard", self._rng.randint(1, self._shards // 2))
            else:
                wait_for_write(pid, index, f".{index.name}", 1)
            time.sleep(self._rng.uniform(0, AFTER_BEGINNING_OF_WRITE_S))
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
        os.kill(pid, signal.SIGKILL)  # of a process that is not waited for yet: the number is still its own
        return not ended

    def _check_after_kill(self, index: Path, before: set[str], pid: int, writers: int) -> None:
        """What must hold between a kill and the next start."""
        now = published(index)
        self._wait(self._fork(lambda: check_readable(index)))
        if different := [n for n, data in contents(index).items() if data != self._bytes[n]]:
            raise BrokenPromiseError(f"published, but other bytes than undisturbed: {different}")
        if not before <= now:
            raise BrokenPromiseError(f"published shards are gone: {before - now}")
        journal = index.parent / "journal"
        begun = set(journal.read_text().split()) if journal.exists() else set()
        if redone := begun & before:
            raise BrokenPromiseError(f"published shards were computed again: {redone}")
        if len(lost := begun - now) > writers:
            raise BrokenPromiseError(f"{writers} writers lost {lost}")
        partial = [path.name for path in leftovers(index) if path.name.endswith(PARTIAL_SUFFIX)]
        if begun and (older := [name for name in partial if f".{pid}-" not in name]):
            raise BrokenPromiseError(f"leftovers of an earlier run were not removed at the start: {older}")
        self.summary.lost[len(lost)] += 1
        if any(name.startswith(".shard") for name in partial):
            moment = "while a shard was written"
        elif any(name.startswith(f".{index.name}") for name in partial):
            moment = "while the index was written"
        elif index.exists():
            moment = "after the index"
        else:
            moment = "while shards were computed" if begun else "before the first shard"
        self.summary.moments[moment] += 1


def extract_noting(config: ExtractConfig, journal: Path) -> None:
    """Extract; note in `journal` which shards are begun."""
    notes = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def noting(task: ShardTask, *rest: Any) -> ShardContents:
        os.write(notes, f"{task.file}\n".encode())
        return compute_shard(task, *rest)

    with mock.patch("vpar_cache.shard_run.compute_shard", noting):
        extract_features(config)


def wait_for_write(pid: int, index: Path, prefix: str, count: int) -> None:
    """Until `count` partial files of that prefix have been seen, or the run has ended."""
    seen: set[str] = set()
    while len(seen) < count and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        seen.update(p.name for p in leftovers(index) if p.suffix == PARTIAL_SUFFIX and p.name.startswith(prefix))
        time.sleep(0.0002)


def check_readable(index: Path) -> None:
    """Every published shard has a right seal and opens; the index, once it is there, verifies with them."""
    for name in published(index):
        read_shard_header(index.with_suffix("") / name)
    if index.exists() and (problems := verify_cache(index).problems):
        raise BrokenPromiseError("; ".join(problems))


def published(index: Path) -> set[str]:
    return {path.name for path in index.with_suffix("").glob("shard-*.h5")}


def contents(index: Path) -> dict[str, bytes]:
    """The bytes of the index and all shards."""
    return {
        path.name: path.read_bytes() for path in (*index.with_suffix("").glob("*.h5"), *index.parent.glob("*.h5"))
    }


def leftovers(index: Path) -> list[Path]:
    """What only a run in progress may have there."""
    places = (index.parent, index.with_suffix(""))
    return [p for place in places for p in place.glob(".*") if p.suffix in (PARTIAL_SUFFIX, ".lock")]


if __name__ == "__main__":
    main()
