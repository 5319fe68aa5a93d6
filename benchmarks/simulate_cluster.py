"""Simulate extractions that no machine here can run: 1 to 1,000 workers, 16 thousand to 1 billion tracklets.

    python benchmarks/simulate_cluster.py [--shard-seconds S] [--check "1:SECONDS 2:SECONDS ..."]

Discrete events: the next free worker takes the next shard. A shard takes its computing time with its measured
spread, but no less than its share of what all workers have in common: bytes and opened files of the storage.
A worker starts late, may be slow, and may be killed, after which it starts again and repeats its shard. Last, one
process lists the folder and reads every shard's header for the index. No figure with a target.
"""

from __future__ import annotations

import argparse
import heapq
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Site:
    """Times in seconds; the default is one H200 with 16 cores a worker, and a network file system."""

    shard_seconds: float = 0.97
    """256 tracklets of 6 frames at 1,580 frames/s (RESULTS.md, section GPU)."""
    spread: float = 0.05
    """Standard deviation of the logarithm of a shard's time."""
    cores: int = 0
    """Shared by all workers, each of which computes on one; 0: every worker has its own machine."""
    start_seconds: float = 15.0
    """Until a worker has its encoder."""
    slow_workers: float = 0.02
    """The share of workers that are three times as slow."""
    hours_between_kills: float = 24.0
    """Of one worker."""
    storage_bytes: float = 5e9
    """A second, read and written by all workers together."""
    storage_opens: float = 20_000.0
    """Files opened a second by all workers together."""
    header_seconds: float = 0.005
    """To read the header of a shard, check its seal included, for the index."""
    row_seconds: float = 5e-6
    """To write a row of the index."""


ROWS, FRAMES = 256, 6
SHARD_BYTES = ROWS * 208_000 + ROWS * FRAMES * 6_300  # written tokens and read JPEGs
MOST_SHARDS = 40_000
"""Of more the first so many are simulated, and the rest goes on at their rate."""


@dataclass(frozen=True)
class Outcome:
    """What an extraction took."""

    seconds: float
    """Of the workers, start-up included."""
    index_seconds: float
    limit: str


def simulate(site: Site, workers: int, tracklets: int, seed: int = 0) -> Outcome:
    """Return how long `workers` take for `tracklets`, and what limits them."""
    random = np.random.default_rng(seed)
    shards = -(-tracklets // ROWS)
    run = min(shards, max(MOST_SHARDS, 20 * workers))
    busy = min(workers, shards)
    crowded = max(1.0, busy / site.cores) if site.cores else 1.0
    slow = np.ones(busy)  # (W,)
    slow[: round(busy * site.slow_workers)] = 3.0
    shared = {
        "storage bandwidth": SHARD_BYTES / site.storage_bytes,
        "opening of files": ROWS * FRAMES / site.storage_opens,
    }
    free = [(site.start_seconds, worker) for worker in range(busy)]
    at_storage = 0.0
    ends = []
    for _ in range(run):
        begun, worker = heapq.heappop(free)
        computing = site.shard_seconds * crowded * slow[worker] * random.lognormal(0, site.spread)
        while random.random() < computing / (site.hours_between_kills * 3600):  # killed in mid-shard
            begun += random.random() * computing + site.start_seconds
        at_storage = max(at_storage, begun) + max(shared.values())
        ended = max(begun + computing, at_storage)
        ends.append(ended)
        heapq.heappush(free, (ended, worker))
    steady = (max(ends) - site.start_seconds) / run
    seconds = max(ends) + (shards - run) * steady
    index_seconds = shards * site.header_seconds + tracklets * site.row_seconds
    costs = {name: shards * cost for name, cost in shared.items()}
    costs["workers"] = shards / busy * site.shard_seconds * crowded
    costs["start-up"] = site.start_seconds
    costs["the index"] = index_seconds
    return Outcome(seconds, index_seconds, max(costs, key=lambda name: costs[name]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shard-seconds", type=float, default=Site.shard_seconds)
    parser.add_argument("--spread", type=float, default=Site.spread)
    parser.add_argument("--start-seconds", type=float, default=Site.start_seconds)
    parser.add_argument("--shards", type=int, default=8, help="Of the runs that --check compares.")
    parser.add_argument("--check", help="WORKERS:SECONDS of real runs on this machine of 2 cores, with spaces.")
    options = parser.parse_args()
    given = {name: getattr(options, name) for name in ("shard_seconds", "spread", "start_seconds")}
    site = Site(**given)
    if options.check:
        check(replace(site, cores=2, slow_workers=0, hours_between_kills=1e9), options.shards, options.check)
        return
    print("| tracklets | workers | workers' time | index | limit |\n|---|---|---|---|---|")
    for tracklets in (16_360, 1_000_000, 10_000_000, 1_000_000_000):
        for workers in (1, 4, 16, 64, 256, 1_000):
            found = simulate(site, workers, tracklets)
            times = f"{readable(found.seconds)} | {readable(found.index_seconds)}"
            print(f"| {tracklets:,} | {workers:,} | {times} | {found.limit} |", flush=True)


def check(site: Site, shards: int, measured: str) -> None:
    """Compare real runs with the simulation."""
    for pair in measured.split():
        workers, seconds = int(pair.partition(":")[0]), float(pair.partition(":")[2])
        simulated = simulate(site, workers, shards * ROWS).seconds
        error = 100 * (simulated / seconds - 1)
        print(f"{workers} workers: measured {seconds:.1f} s, simulated {simulated:.1f} s ({error:+.0f} %)")


def readable(seconds: float) -> str:
    """Return a time in its largest unit."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
