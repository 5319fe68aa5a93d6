"""Kill an extraction again and again, resume it, and compare every byte with an undisturbed run.

    python benchmarks/kill_resume.py --kills 200
    python benchmarks/kill_resume.py --kills 60 --signals KILL,INT,TERM

One process imports everything, and every run of `vpar extract` is a fork of it, so that no run imports torch
again. Half of the kills fall at a random moment of an undisturbed run's duration, half just after the program
has begun to write a random shard or the index. Rounds alternate between one writer and two, and between a new
cache and one that begins with a finished cache of half the tracklets, in shards of another size, of which nothing
may be lost.
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

from support.forked_extract import (
    BrokenPromiseError,
    Forks,
    contents,
    ended,
    is_locked_by,
    leftovers,
    published,
    shard_numbers,
)
from support.timing import option_parser, scratch_folder

from vpar_cache.base.files import PARTIAL_SUFFIX
from vpar_cache.cache.headers import read_shard_header
from vpar_cache.cache.verify import verify_cache

AFTER_BEGINNING_OF_WRITE_S = 0.004
SECONDS_TO_END = 5.0
HALF = {"limit": 40, "shard-size": 3}
"""Options of the finished cache that half of the rounds begin with."""
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


@dataclass(frozen=True)
class Goal:
    """What a round works towards, and where it begins."""

    name: str
    begin: Path | None
    """A finished cache that the round begins with; None: nothing."""
    bytes: dict[str, bytes]
    """Of the finished cache, by file name."""
    numbers: dict[str, int]
    """Of the task that makes each of its shards."""
    seconds: float
    """Of an undisturbed run."""

    def start_folder(self, folder: Path) -> Path:
        """Prepare a round in a new folder; return the index."""
        if self.begin is not None:
            shutil.copytree(self.begin.parent, folder, ignore=shutil.ignore_patterns("journal"))
        return folder / "cache.h5"

    def begun(self, journal: Path) -> set[str]:
        """Return the names of the shards that were begun."""
        numbers = set(map(int, journal.read_text().split())) if journal.exists() else set()
        return {name for name, number in self.numbers.items() if number in numbers}


class Stress:
    """Rounds of kills against one small dataset."""

    def __init__(self, folder: Path, numbers: list[signal.Signals], rng: random.Random) -> None:
        self._forks = Forks(folder)
        self._numbers = numbers
        self._rng = rng
        half = folder / "half" / "cache.h5"
        self._forks.wait(self._forks.start(half, 1, **HALF), 0)
        self._goals = [self._undisturbed("a new cache", None), self._undisturbed("half a cache completed", half)]
        self._summary = Summary()

    def _undisturbed(self, name: str, begin: Path | None) -> Goal:
        place = self._forks.folder / f"undisturbed-{begin is None}"
        goal = Goal(name, begin, {}, {}, 0)
        index = goal.start_folder(place)
        started = time.monotonic()
        self._forks.wait(self._forks.start(index, 1), 0)
        return Goal(name, begin, contents(index), shard_numbers(index), time.monotonic() - started)

    def run(self, kills: int) -> bool:
        """Print the summary; its last line is JSON. False when a promise was broken."""
        done, started, problem = self._summary, time.monotonic(), ""
        for goal in self._goals:
            print(f"undisturbed, {goal.name}: {len(goal.numbers)} shards in {goal.seconds:.2f} s", flush=True)
        try:
            while done.kills < kills:
                self._round(kills, self._goals[done.rounds // 2 % 2])
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

    def _round(self, kills: int, goal: Goal) -> None:
        """Extract one cache, killed again and again until it is done."""
        writers = 1 + self._summary.rounds % 2
        index = goal.start_folder(self._forks.folder / f"round-{self._summary.rounds}")
        while True:
            before = published(index)
            pid = self._forks.start(index, writers)
            number = self._numbers[self._summary.kills % len(self._numbers)]
            if self._summary.kills >= kills or not self._strike(pid, number, index, goal):
                self._forks.wait(pid, 0)
                break
            struck, was_done = time.monotonic(), is_finished(index, goal)
            if self._forks.wait(pid, WAIT_STATUS[number], *([0] if was_done else [])) == 0:
                break  # it was ending already
            self._check_time(time.monotonic() - struck)
            self._summary.kills += 1
            self._check_after(number, index, goal, before, pid, writers)
        if contents(index) != goal.bytes:
            raise BrokenPromiseError(f"the finished cache {index} differs from an undisturbed one")
        if left := [path.name for path in leftovers(index)]:
            raise BrokenPromiseError(f"a finished run leaves {left}")
        shutil.rmtree(index.parent)
        self._summary.rounds += 1

    def _strike(self, pid: int, number: signal.Signals, index: Path, goal: Goal) -> bool:
        """Kill at a random moment; False when the run had ended before."""
        while number != signal.SIGKILL and not ended(pid) and not is_locked_by(pid, index):
            time.sleep(0.001)  # the fork has to install its handlers first
        kind = self._rng.random()
        if kind < 0.5:
            time.sleep(self._rng.uniform(0, goal.seconds))
        else:
            if kind < 0.9:
                wait_for_write(pid, index, ".shard", self._rng.randint(1, len(goal.numbers) // 2))
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

    def _check_after(
        self, number: signal.Signals, index: Path, goal: Goal, before: set[str], pid: int, writers: int
    ) -> None:
        """Check what must hold between a kill and the next start."""
        now = published(index)
        if goal.begin is not None and not index.exists():
            raise BrokenPromiseError("the cache that was there before has lost its index")
        self._forks.wait(self._forks.fork(lambda: check_readable(index)), 0)
        first = {} if goal.begin is None else contents(goal.begin)
        right = {(name, data) for whole in (first, goal.bytes) for name, data in whole.items()}
        if different := [name for name, data in contents(index).items() if (name, data) not in right]:
            raise BrokenPromiseError(f"published, but other bytes than undisturbed: {different}")
        gone = before - now
        if gone & set(goal.bytes) or (gone and not is_finished(index, goal)):
            raise BrokenPromiseError(f"published shards are gone: {gone}")
        begun = goal.begun(index.parent / "journal")
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
        self._summary.moments[moment_of(index, partial, begun, is_finished(index, goal))] += 1


def is_finished(index: Path, goal: Goal) -> bool:
    """Return whether the index is that of the goal."""
    return index.exists() and index.read_bytes() == goal.bytes[index.name]


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


def moment_of(index: Path, partial: list[str], begun: set[str], is_done: bool) -> str:
    if any(name.startswith(".shard") for name in partial):
        return "while a shard was written"
    if any(name.startswith(f".{index.name}") for name in partial):
        return "while the index was written"
    if is_done:
        return "after the index"
    return "between writes" if begun else "before the first shard"


if __name__ == "__main__":
    main()
