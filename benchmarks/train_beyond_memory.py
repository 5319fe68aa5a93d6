"""Training on a cache that is larger than the memory allowed, beside the same training without a limit.

    python benchmarks/train_beyond_memory.py

Both are `vpar train` (width 512, batch 16) as a process of its own on the same cache of random features, whose
pages are dropped from memory before each. One of them runs under a limit smaller than the cache, and pages of
files count: it must read most rows from the disk again in every epoch. Compared is the last epoch of each.
"""

from __future__ import annotations

import sys
from pathlib import Path

from support.processes import forget_pages, memory_limit, run_quietly
from support.program import epoch_seconds_per_tracklet
from support.random_caches import write_cache
from support.timing import compare_rates, option_parser, scratch_folder, verdict

TRACKLETS, LIMIT, REPEATS, TARGET = 8_000, 1_200_000_000, 3, 0.8


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument(
        "--train-once", type=Path, metavar="INDEX", help="Only print an epoch's seconds per tracklet."
    )
    options = parser.parse_args()
    if options.train_once is not None:
        print(epoch_seconds_per_tracklet(options.train_once, options.train_once.parent / "runs"))
        return
    with scratch_folder(options) as folder:
        index = write_cache(folder / "random.h5", TRACKLETS)
        size = sum(path.stat().st_size for path in folder.rglob("*.h5"))
        print(f"cache {size / 1e9:.2f} GB, limit {LIMIT / 1e9:.2f} GB; ours: under the limit", flush=True)
        assert size > LIMIT, "the cache fits into the limit"

        def limited() -> float:
            with memory_limit(LIMIT) as prefix:
                return train_alone(index, prefix)

        share = compare_rates(
            limited, lambda: train_alone(index, []), repeats=REPEATS, unit="tracklets", warm_up=False
        )
    verdict("training on a cache larger than the memory allowed", share, TARGET)


def train_alone(index: Path, prefix: list[str]) -> float:
    """Return the seconds per tracklet of an epoch in a process of its own."""
    forget_pages(index.parent)
    return float(run_quietly([*prefix, sys.executable, __file__, f"--train-once={index}"]).stdout)


if __name__ == "__main__":
    main()
