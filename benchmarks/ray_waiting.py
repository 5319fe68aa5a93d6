"""How much of its time a Ray worker waits for work: two workers on this machine, one thread each.

    python benchmarks/ray_waiting.py

The share counts from the first shard of a worker until the last shard of all: between two shards, and at the end
until the other worker is done too. Needs the extra ray.
"""

from __future__ import annotations

import re
import statistics
from pathlib import Path

from support.program import extract
from support.timing import option_parser, scratch_folder, verdict

REPEATS, MOST_WAITING, WORKERS = 5, 0.10, 2


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--tracklets", type=int, default=48, help="Of the demo dataset, six frames each.")
    options = parser.parse_args()
    with scratch_folder(options) as folder:
        shares = [waiting(folder, folder / f"{run}.h5", options.tracklets) for run in range(REPEATS)]
    print(f"shares: {', '.join(f'{share:.3f}' for share in shares)}")
    verdict("waiting for work, of a Ray worker's time", statistics.median(shares), MOST_WAITING, at_most=True)


def waiting(folder: Path, out: Path, tracklets: int) -> float:
    """Return the mean over the workers of one extraction."""
    lines: list[str] = []
    extract(
        dataset="demo",
        root=folder / "demo",
        out=out,
        limit=tracklets,
        shard_size=2,
        executor="ray",
        ray_address="local",
        workers_per_node=WORKERS,
        say=lines.append,
    )
    found = [re.search(r"([0-9]+)% of the time without work", line) for line in lines]
    shares = [int(match[1]) / 100 for match in found if match]
    if len(shares) != WORKERS:
        raise SystemExit(f"expected a line for each of {WORKERS} workers, got {lines}")
    return statistics.mean(shares)


if __name__ == "__main__":
    main()
