"""Let several processes write one cache at the same time, kill them at random, and compare every byte at the end.

    python benchmarks/kill_together.py --processes 8 --kills 50

Every process is a fork, as in kill_resume.py: half of them run the plain command, half are array tasks. One that
is killed is started again, until the kills of a round are used up; then the others end by themselves, and the
plain command runs once more. After each kill, every published shard must have the bytes of an undisturbed run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from support.forked_extract import BrokenPromiseError, Forks, contents, ended, leftovers
from support.timing import option_parser, scratch_folder

KILLS_A_ROUND = 10


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with scratch_folder(options) as folder:
        stress = Stress(Forks(folder), options.processes, random.Random(options.seed))
        problem = stress.run(options.kills)
    figure = {
        "figure": "kills among processes that share a cache, which then equals an undisturbed one, byte for byte",
        "processes": options.processes,
        "kills": stress.kills,
        "survived": stress.kills - bool(problem),
        "met": not problem,
    }
    print(json.dumps(figure))
    sys.exit(0 if not problem else 1)


class Stress:
    """Rounds of kills among processes that share a cache."""

    def __init__(self, forks: Forks, processes: int, rng: random.Random) -> None:
        self._forks, self._processes, self._rng = forks, processes, rng
        self.kills = 0
        index = forks.folder / "undisturbed" / "cache.h5"
        started = time.monotonic()
        forks.wait(forks.start(index, 1), 0)
        self._seconds, self._right = time.monotonic() - started, contents(index)
        print(f"undisturbed: {len(self._right) - 1} shards in {self._seconds:.2f} s", flush=True)

    def run(self, kills: int) -> str:
        """Return what was broken; "" for nothing."""
        started, rounds = time.monotonic(), 0
        try:
            while self.kills < kills:
                self._round(
                    self._forks.folder / f"round-{rounds}" / "cache.h5", min(kills, self.kills + KILLS_A_ROUND)
                )
                rounds += 1
        except BrokenPromiseError as broken:
            print(f"BROKEN after {self.kills} kills: {broken}")
            return str(broken)
        print(f"{self.kills} kills in {rounds} rounds, {time.monotonic() - started:.0f} s")
        return ""

    def _round(self, index: Path, until: int) -> None:
        running = {number: self._start(index, number) for number in range(self._processes)}
        while running:
            time.sleep(self._rng.uniform(0, self._seconds / 4))
            for number, pid in list(running.items()):
                if ended(pid):
                    self._forks.wait(pid, 0)
                    del running[number]
            if self.kills < until and running:
                number = self._rng.choice(sorted(running))
                os.kill(running[number], signal.SIGKILL)  # not waited for yet: the number is still its own
                if self._forks.wait(running.pop(number), signal.SIGKILL, 0) == signal.SIGKILL:
                    self.kills += 1
                self._check(index)
                running[number] = self._start(index, number)
        self._forks.wait(self._forks.start(index, 1), 0)
        if contents(index) != self._right:
            raise BrokenPromiseError(f"the finished cache {index} differs from an undisturbed one")
        if left := [path.name for path in leftovers(index)]:
            raise BrokenPromiseError(f"a finished run leaves {left}")
        shutil.rmtree(index.parent)

    def _start(self, index: Path, number: int) -> int:
        """Start the plain command, or for odd numbers a task of an array."""
        half = self._processes // 2
        task = {"task": f"{number // 2}/{half}"} if number % 2 and half else {}
        return self._forks.start(index, 1, **task)

    def _check(self, index: Path) -> None:
        for name, data in contents(index).items():
            if self._right.get(name) != data:
                raise BrokenPromiseError(f"published, but other bytes than undisturbed: {name}")


if __name__ == "__main__":
    main()
