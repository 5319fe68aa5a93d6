"""Training on a cache that is larger than the memory allowed, beside the same training without a limit.

    python benchmarks/train_beyond_memory.py

Both are `vpar train` (width 512, batch 16) as a process of its own on the same cache of random features, whose
pages are dropped from memory before each. One of them runs under a limit smaller than the cache, which pages of
files count against: it must read most rows from the disk again in every epoch. Compared is the last epoch of each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from memory_limit import forget_pages, memory_limit
from paired import verdict
from processes import run_quietly
from random_inputs import write_cache

TRACKLETS, LIMIT, REPEATS, TARGET = 8_000, 1_200_000_000, 3, 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="Where to make the cache. Default: a temporary folder.")
    options = parser.parse_args()
    shares = []
    with tempfile.TemporaryDirectory(prefix="vpar-beyond-", dir=options.folder) as folder:
        index = write_cache(Path(folder) / "random.h5", TRACKLETS)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.h5"))
        print(f"cache {size / 1e9:.2f} GB, limit {LIMIT / 1e9:.2f} GB", flush=True)
        assert size > LIMIT, "the cache fits into the limit"
        for _ in range(REPEATS):
            free = seconds_per_tracklet(index, [])
            with memory_limit(LIMIT) as prefix:
                limited = seconds_per_tracklet(index, prefix)
            shares.append(free / limited)
            print(
                f"{1 / free:.0f} tracklets/s free, {1 / limited:.0f} under the limit: {shares[-1]:.3f}", flush=True
            )
    verdict("training on a cache larger than the memory allowed", statistics.median(shares), TARGET)


def seconds_per_tracklet(index: Path, prefix: list[str]) -> float:
    forget_pages(index.parent)
    script = Path(__file__).with_name("our_epoch.py")
    return float(run_quietly([*prefix, sys.executable, str(script), str(index), str(index.parent / "runs")]))


if __name__ == "__main__":
    main()
