"""Simulate extractions that no machine here can run: 1 to 1,000 workers, 16 thousand to 1 billion tracklets.

    python benchmarks/simulate_cluster.py            # the table
    python benchmarks/simulate_cluster.py --check    # 1 to 4 array tasks on this machine, beside the simulation

Discrete events: the next free worker takes the next shard. A shard takes its computing time and its spread, but no
less than its share of what all workers have in common: bytes and opened files of the storage. A worker first reads
the list of tracklets and builds its encoder, may be slow, and may be killed: then it starts again, and whoever is
free repeats its shard. Last, one process reads every shard and writes the index. No figure with a target.
"""

from __future__ import annotations

import argparse
import heapq
import math
import os
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from support.processes import vpar
from support.timing import option_parser, scratch_folder

from vpar_cache.datasets.demo.dataset import DemoSize, write_demo

FRAMES = 6
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Site:
    """Times in seconds. The default is one H200 with 16 cores a worker, and a network file system."""

    shard_seconds: float = 0.97
    """Measured: 256 tracklets of 6 frames at 1,580 frames/s, RESULTS.md, section GPU."""
    spread: float = 0.05
    """Deviation of the logarithm of a shard's time. Assumed; --check measures it on this machine."""
    start_seconds: float = 15.0
    """Until a worker has its encoder. Assumed; --check measures it on this machine."""
    plan_seconds: float = 3.8e-4
    """To list one tracklet, which every worker does for all. Measured: `extract_nothing_new` of two sizes."""
    cores: int = 0
    """Shared by all workers, of which each computes on one; 0: every worker has a machine of its own."""
    slow_workers: float = 0.02
    """The share of workers that are three times as slow. Assumed."""
    hours_between_kills: float = 24.0
    """Of one worker. Assumed."""
    storage_bytes: float = 5e9
    """A second, read and written by all workers together. Assumed."""
    storage_opens: float = 20_000.0
    """Files opened a second by all workers together. Assumed."""
    reader_bytes: float = 1.9e9
    """A second, read by the one process that writes the index. Measured: the disk here, docs/scaling.md."""
    header_seconds: float = 0.0026
    """Of that process for a shard, beside reading its bytes. Measured: `large_index`."""
    row_seconds: float = 5e-6
    """Of that process for a row of the index. Measured: `large_index`."""
    rows: int = 256
    """Tracklets of a shard."""
    cache_tracklets: int = 1_000_000
    """More are split into several caches: the list of a million takes 8 GB of a worker's memory (measured)."""


ROW_BYTES, JPEG_BYTES = 208_000, 6_300
WORKERS_A_CACHE = 16
"""Where there are several caches."""


@dataclass(frozen=True)
class Outcome:
    """What an extraction took, in seconds."""

    workers: float
    """From the start to the last shard."""
    index: float
    limit: str


def simulate(site: Site, workers: int, tracklets: int, seed: int = 0) -> Outcome:
    """Return how long `workers` take for `tracklets`, and what limits them."""
    caches = math.ceil(tracklets / site.cache_tracklets)
    if caches > 1:  # some at a time, which share the workers and the storage
        at_once = min(caches, max(1, workers // WORKERS_A_CACHE))
        share = replace(
            site, storage_bytes=site.storage_bytes / at_once, storage_opens=site.storage_opens / at_once
        )
        one, rounds = simulate(share, workers // at_once, tracklets // caches, seed), math.ceil(caches / at_once)
        return Outcome(one.workers * rounds, one.index * rounds, one.limit)
    random = np.random.default_rng(seed)
    shards = math.ceil(tracklets / site.rows)
    busy = min(workers, shards)
    crowded = max(1.0, busy / site.cores) if site.cores else 1.0
    starting = (site.start_seconds + tracklets * site.plan_seconds) * crowded
    slow = np.ones(busy)  # (W,)
    slow[: round(busy * site.slow_workers)] = 3.0
    shared = {
        "storage bandwidth": site.rows * (ROW_BYTES + FRAMES * JPEG_BYTES) / site.storage_bytes,
        "opening of files": site.rows * FRAMES / site.storage_opens,
    }
    free = [(starting, worker) for worker in range(busy)]
    at_storage = last = 0.0
    done = 0
    while done < shards:
        begun, worker = heapq.heappop(free)
        computing = site.shard_seconds * crowded * slow[worker] * random.lognormal(0, site.spread)
        if random.random() < computing / (site.hours_between_kills * 3600):  # killed in mid-shard
            heapq.heappush(free, (begun + random.random() * computing + starting, worker))
            continue
        at_storage = max(at_storage, begun) + max(shared.values())
        ended = max(begun + computing, at_storage)
        last, done = max(last, ended), done + 1
        heapq.heappush(free, (ended, worker))
    reading = tracklets * ROW_BYTES / min(site.reader_bytes, site.storage_bytes) + shards * site.header_seconds
    index = tracklets * (site.plan_seconds + site.row_seconds) + reading
    costs = {name: shards * cost for name, cost in shared.items()}
    costs |= {"workers": shards / busy * site.shard_seconds * crowded, "start-up": starting, "the index": index}
    return Outcome(last, index, max(costs, key=lambda name: costs[name]))


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--check", action="store_true", help="Compare with real runs on this machine.")
    parser.add_argument("--shard-seconds", type=float, default=Site.shard_seconds)
    parser.add_argument("--shards", type=int, default=20, help="Of the real runs.")
    options = parser.parse_args()
    if options.check:
        check(options)
        return
    site = Site(shard_seconds=options.shard_seconds)
    print("| tracklets | workers | workers' time | index | limit |\n|---|---|---|---|---|")
    for tracklets in (16_360, 1_000_000, 10_000_000, 1_000_000_000):
        for workers in (1, 4, 16, 64, 256, 1_000):
            found = simulate(site, workers, tracklets)
            times = f"{readable(found.workers)} | {readable(found.index)}"
            print(f"| {tracklets:,} | {workers:,} | {times} | {found.limit} |", flush=True)


def check(options: argparse.Namespace) -> None:
    """Run 1 to 4 array tasks at once, each on one thread. The first gives the inputs, the others are predicted."""
    site = Site(
        plan_seconds=0, cores=len(os.sched_getaffinity(0)), slow_workers=0, hours_between_kills=1e9, rows=8
    )
    with scratch_folder(options) as folder:
        write_demo(folder / "demo", DemoSize(), seed=0)  # in the layout of MARS
        extract = vpar("extract", "--dataset", "mars", "--root", folder / "demo", "--weights", "random:0")
        extract += ["--device", "cpu", "--limit", str(options.shards * site.rows), "--shard-size", str(site.rows)]
        run_tasks([*extract, "--limit", "20"], folder / "warm-up.h5", 1)
        for workers in (1, 2, 3, 4):
            ends = run_tasks(extract, folder / f"{workers}.h5", workers)
            if workers == 1:
                times = np.diff(ends)  # (S - 1,)
                mean, spread = float(times.mean()), float(np.log(times).std())
                site = replace(site, shard_seconds=mean, spread=spread, start_seconds=ends[0] - mean)
                print(f"a shard takes {mean:.2f} s, spread {spread:.3f}, start-up {site.start_seconds:.1f} s")
            found = simulate(site, workers, options.shards * site.rows).workers
            print(
                f"{workers}: {ends[-1]:.1f} s, simulated {found:.1f} s ({found / ends[-1] - 1:+.0%})", flush=True
            )


def run_tasks(extract: list[str], out: Path, workers: int) -> list[float]:
    """Return when each shard was published, in seconds after the start of all array tasks, in order."""
    started = time.time()
    tasks = [
        subprocess.Popen([*extract, "--out", str(out), "--task", f"{number}/{workers}"], env=ONE_THREAD)
        for number in range(workers)
    ]
    assert [task.wait() for task in tasks] == [0] * workers
    return sorted(path.stat().st_mtime - started for path in out.with_suffix("").glob("shard-*.h5"))


def readable(seconds: float) -> str:
    """Return a time in its largest unit."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
