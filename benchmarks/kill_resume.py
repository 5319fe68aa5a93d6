"""Kill an extraction again and again, resume it, and compare every byte with an undisturbed run.

    python benchmarks/kill_resume.py --kills 200
    python benchmarks/kill_resume.py --kills 60 --signals KILL,INT,TERM

One process imports everything, and every run of `vpar extract` is a fork of it, so that no run imports torch
again. Half of the kills fall at a random moment of an undisturbed run's duration, half just after the program
has begun to write a random shard or the index. Rounds alternate between one writer and two.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from support.forked_extract import BrokenPromiseError, Forks, contents, ended, is_locked_by, leftovers, published
from support.timing import option_parser, scratch_folder

from vpar_cache.base.files import PARTIAL_SUFFIX
from vpar_cache.cache.headers import read_shard_header
from vpar_cache.cache.verify import verify_cache

AFTER_BEGINNING_OF_WRITE_S = 0.004
SECONDS_TO_END = 5.0
WAIT_STATUS = {  # of os.waitpid
    signal.SIGKILL: signal.SIGKILL,
    signal.SIGINT: 130 << 8,
    signal.SIGTERM: 143 << 8,
}


@dataclass
class Summary:
    """The counts of one series of kills."""

    kills: int = 0
    rounds: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    """Where the kills fell."""
    lost: Counter[int] = field(default_factory=Counter)
    """How often so many begun shards were lost."""
    slowest_end: float = 0.0
    """Seconds from a signal to the end of the process."""


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--signals", default="KILL", help="KILL, INT and TERM, in turn")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    numbers = [signal.Signals[f"SIG{name}"] for name in options.signals.split(",")]
    with scratch_folder(options) as folder:
        stress = Stress(folder, numbers, random.Random(options.seed))
        sys.exit(0 if stress.run(options.kills) else 1)


class Stress:
    """Rounds of kills against one small dataset."""

    def __init__(self, folder: Path, numbers: list[signal.Signals], rng: random.Random) -> None:
        self._forks = Forks(folder)
        self._numbers = numbers
        self._rng = rng
        reference = folder / "undisturbed" / "cache.h5"
        started = time.monotonic()
        self._forks.wait(self._forks.start(reference, 1), 0)
        self._duration = time.monotonic() - started
        self._shards = len(published(reference))
        self._bytes = contents(reference)
        self._summary = Summary()

    def run(self, kills: int) -> bool:
        """Print the summary; its last line is JSON. False when a promise was broken."""
        done, started, problem = self._summary, time.monotonic(), ""
        print(f"undisturbed: {self._shards} shards in {self._duration:.2f} s", flush=True)
        try:
            while done.kills < kills:
                self._round(kills)
        except BrokenPromiseError as broken:
            problem = str(broken)
            print(f"BROKEN after {done.kills} kills: {problem}")
        print(f"{done.kills} kills in {done.rounds} finished rounds, {time.monotonic() - started:.0f} s")
        print("killed: " + ", ".join(f"{moment} {n}" for moment, n in sorted(done.moments.items())))
        print("begun shards lost by a kill: " + ", ".join(f"{n}: {m} times" for n, m in sorted(done.lost.items())))
        print(f"slowest end after a signal: {done.slowest_end:.2f} s")
        figure = {
            "figure": "kills after which a resumed cache equals an undisturbed one, byte for byte",
            "signals": [number.name for number in self._numbers],
            "kills": done.kills,
            "survived": done.kills - bool(problem),
            "met": not problem,
        }
        print(json.dumps(figure))
        return not problem

    def _round(self, kills: int) -> None:
        """Extract one cache, killed again and again until it is done."""
        writers = 1 + self._summary.rounds % 2
        index = self._forks.folder / f"round-{self._summary.rounds}" / "cache.h5"
        while True:
            before = published(index)
            pid = self._forks.start(index, writers)
            number = self._numbers[self._summary.kills % len(self._numbers)]
            if self._summary.kills >= kills or not self._strike(pid, number, index):
                self._forks.wait(pid, 0)
                break
            struck, was_done = time.monotonic(), index.exists()
            if self._forks.wait(pid, WAIT_STATUS[number], *([0] if was_done else [])) == 0:
                break  # it was ending already
            self._check_time(time.monotonic() - struck)
            self._summary.kills += 1
            self._check_after(number, index, before, pid, writers)
        if contents(index) != self._bytes:
            raise BrokenPromiseError(f"the finished cache {index} differs from an undisturbed one")
        if left := [path.name for path in leftovers(index)]:
            raise BrokenPromiseError(f"a finished run leaves {left}")
        shutil.rmtree(index.parent)
        self._summary.rounds += 1

    def _strike(self, pid: int, number: signal.Signals, index: Path) -> bool:
        """Kill at a random moment; False when the run had ended before."""
        while number != signal.SIGKILL and not ended(pid) and not is_locked_by(pid, index):
            time.sleep(0.001)  # the fork has to install its handlers first
        kind = self._rng.random()
        if kind < 0.5:
            time.sleep(self._rng.uniform(0, self._duration))
        else:
            if kind < 0.9:
                wait_for_write(pid, index, ".shard", self._rng.randint(1, self._shards // 2))
            else:
                wait_for_write(pid, index, f".{index.name}", 1)
            time.sleep(self._rng.uniform(0, AFTER_BEGINNING_OF_WRITE_S))
        if ended(pid):
            return False
        os.kill(pid, number)  # not waited for yet: the number is still its own
        return True

    def _check_time(self, seconds: float) -> None:
        self._summary.slowest_end = max(self._summary.slowest_end, seconds)
        if seconds > SECONDS_TO_END:
            raise BrokenPromiseError(f"a signal took {seconds:.1f} s to end the process")

    def _check_after(self, number: signal.Signals, index: Path, before: set[str], pid: int, writers: int) -> None:
        """Check what must hold between a kill and the next start."""
        now = published(index)
        self._forks.wait(self._forks.fork(lambda: check_readable(index)), 0)
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
        left = [path.name for path in leftovers(index)]
        if number != signal.SIGKILL and left:
            raise BrokenPromiseError(f"{number.name} leaves {left}")
        partial = [name for name in left if name.endswith(PARTIAL_SUFFIX)]
        if begun and (older := [name for name in partial if f".{pid}-" not in name]):
            raise BrokenPromiseError(f"leftovers of an earlier run were not removed at the start: {older}")
        self._summary.lost[len(lost)] += 1
        self._summary.moments[moment_of(index, partial, begun)] += 1


def wait_for_write(pid: int, index: Path, prefix: str, count: int) -> None:
    """Until `count` partial files of that prefix have been seen, or the run has ended."""
    seen: set[str] = set()
    while len(seen) < count and not ended(pid):
        seen.update(p.name for p in leftovers(index) if p.suffix == PARTIAL_SUFFIX and p.name.startswith(prefix))
        time.sleep(0.0002)


def check_readable(index: Path) -> None:
    """Check that every published shard has a valid seal and opens, and that an index verifies with them."""
    for name in published(index):
        read_shard_header(index.with_suffix("") / name)
    if index.exists() and (problems := verify_cache(index).problems):
        raise BrokenPromiseError("; ".join(problems))


def moment_of(index: Path, partial: list[str], begun: set[str]) -> str:
    if any(name.startswith(".shard") for name in partial):
        return "while a shard was written"
    if any(name.startswith(f".{index.name}") for name in partial):
        return "while the index was written"
    if index.exists():
        return "after the index"
    return "between writes" if begun else "before the first shard"


if __name__ == "__main__":
    main()
