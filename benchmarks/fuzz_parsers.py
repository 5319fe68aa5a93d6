"""Give every parser spoiled inputs: each must be read, or refused with an error of this project.

    python benchmarks/fuzz_parsers.py --cases 100000

Label files, lists and tables of MARS, TOML, run folders, predictions, weights, checkpoints, images, and HDF5
files sealed again after the damage, so that the seal does not stop them. A child process does the work; a case
that kills it, or takes longer than the limit, is counted and skipped. For HDF5 and parquet, whose parsers are C
libraries, such cases are counted apart: they are those libraries' own, and no seal proves who wrote a file.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import resource
import signal
import struct
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch
from support.timing import option_parser, scratch_folder

from tests.support.fuzzing import Parser, make_parsers, spoil
from vpar_cache.errors import VparError

SECONDS_A_CASE = 5.0
MEMORY_BYTES = 4 << 30
"""Beyond what the process has; a parser that wants more fails to get it."""
SHARES = {"labels": 12, "schema": 10, "prompts": 8, ".mat": 10, "run.json": 8, "metrics.json": 8, "image": 8}
"""Of the cases, by parser; the others have USUAL_SHARE."""
USUAL_SHARE = 4
_STATE = struct.Struct("qdqqd")  # cases done, start of the running one, read, refused, seconds of the slowest


@dataclass
class Tally:
    """The counts of one parser's cases."""

    cases: int
    read: int = 0
    refused: int = 0
    uncaught: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="One parser, by name.")
    options = parser.parse_args()
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    warnings.simplefilter("ignore")
    with scratch_folder(options) as folder:
        parsers = [p for p in make_parsers(folder) if options.only in (None, p.name)]
        shares = [SHARES.get(p.name, USUAL_SHARE) for p in parsers]
        tallies = {}
        left, weight = options.cases, sum(shares)
        for one, share in zip(parsers, shares, strict=True):
            cases = round(left * share / weight)
            left, weight = left - cases, weight - share
            tallies[one.name] = tally = Trial(one, cases, options.seed).run()
            print(describe(one, tally), flush=True)
    tried = sum(tally.cases for tally in tallies.values())
    in_c = {p.name for p in parsers if p.in_c}
    uncaught = sum(t.uncaught.total() + (0 if name in in_c else t.killed.total()) for name, t in tallies.items())
    library = sum((t.killed for name, t in tallies.items() if name in in_c), Counter[str]())
    result = {"figure": "fuzz cases", "tried": tried, "uncaught": uncaught, "killed_in_c_libraries": dict(library)}
    print(json.dumps({**result, "met": not uncaught}))
    sys.exit(bool(uncaught))


def describe(parser: Parser, tally: Tally) -> str:
    counts = (
        f"{tally.cases:6} cases, {tally.read:6} read, {tally.refused:6} refused, slowest {tally.slowest:.2f} s"
    )
    odd = "".join(f"\n    {count} x {what}" for what, count in [*tally.uncaught.items(), *tally.killed.items()])
    return f"{parser.name:28} {counts}{odd}"


class Trial:
    """The cases of one parser, in children that may die."""

    def __init__(self, parser: Parser, cases: int, seed: int) -> None:
        self._parser = parser
        self._seed = seed
        self._tally = Tally(cases)
        self._state = mmap.mmap(-1, _STATE.size)

    def run(self) -> Tally:
        done = 0
        while done < self._tally.cases:
            self._state[:] = _STATE.pack(done, time.monotonic(), 0, 0, 0.0)
            done = self._watch(*self._fork(done))
        return self._tally

    def _fork(self, start: int) -> tuple[int, int]:
        """Return the child's process id and the pipe on which it reports unexpected errors."""
        receive, send = os.pipe()
        child = os.fork()
        if child:
            os.close(send)
            return child, receive
        os.close(receive)
        status = 1  # an error of this script, not of a parser
        try:
            self._work(start, send)
            status = 0
        except Exception:  # noqa: BLE001 - the child ends here, and its parent stops
            traceback.print_exc()
        finally:
            os._exit(status)

    def _work(self, start: int, report: int) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        reserved = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (max(used, reserved) + MEMORY_BYTES,) * 2)
        read = refused = 0
        slowest, started = 0.0, time.monotonic()
        for number in range(start, self._tally.cases):
            now = time.monotonic()
            slowest, started = max(slowest, now - started), now
            self._state[:] = _STATE.pack(number, started, read, refused, slowest)
            data = spoil(self._parser, random.Random(f"{self._seed} {self._parser.name} {number}"))
            try:
                self._parser.try_bytes(data)
                read += 1
            except VparError:
                refused += 1
            except BaseException as error:  # noqa: BLE001 - counting these is what the script is for
                where = error.__traceback__
                while where is not None and where.tb_next is not None:
                    where = where.tb_next
                line = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
                os.write(
                    report, f"{type(error).__name__} at {line}: {str(error)[:100]!r}, case {number}\n".encode()
                )
        self._state[:] = _STATE.pack(self._tally.cases, time.monotonic(), read, refused, slowest)

    def _watch(self, child: int, reports: int) -> int:
        """Wait for the end of the child; return how many cases are done."""
        hung = False
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            done, started, read, refused, slowest = _STATE.unpack(self._state[:])
            if ended:
                break
            if time.monotonic() - started > SECONDS_A_CASE and not hung:
                os.kill(child, signal.SIGKILL)
                hung = True
            time.sleep(0.01)
        self._tally.read += read
        self._tally.refused += refused
        self._tally.slowest = max(self._tally.slowest, slowest)
        with os.fdopen(reports) as lines:
            for line in lines:
                what, _, case = line.strip().rpartition(", ")
                self._tally.uncaught[what] += 1
                if self._tally.uncaught[what] == 1:
                    print(f"    {self._parser.name}, {case}: {what}")
        if not hung and os.WIFEXITED(status) and os.WEXITSTATUS(status):
            sys.exit(f"The script itself failed at {self._parser.name}, case {done}.")
        if done >= self._tally.cases:
            return done
        how = f"over {SECONDS_A_CASE:g} s" if hung else signal.Signals(os.WTERMSIG(status)).name
        self._tally.killed[how] += 1
        if self._tally.killed[how] == 1:
            print(f"    {self._parser.name}, case {done}: {how}")
        return int(done) + 1


if __name__ == "__main__":
    main()
