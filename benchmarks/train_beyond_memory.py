"""Training on a cache that is larger than the memory allowed, beside the same training without a limit.

    python benchmarks/train_beyond_memory.py [--shuffle exact|shards]

Both are `vpar train` (width 512, batch 16) as a process of its own on the same cache of random features, whose
pages are dropped from memory before each. One of them runs under a limit smaller than the cache, and pages of
files count: it must read most rows from the disk again in every epoch. Compared is the last epoch of each. Also
counted: the reads of an epoch in both orders, and the bytes of each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from support.processes import forget_pages, memory_limit, run_quietly
from support.program import epoch_seconds_per_tracklet
from support.random_caches import write_cache
from support.timing import compare_rates, option_parser, scratch_folder, verdict

from vpar_cache.cache.features import open_features
from vpar_cache.training.device_rows import DeviceRows
from vpar_cache.training.order import SHUFFLES, epoch_windows

TRACKLETS, LIMIT, REPEATS, TARGET, BATCH = 8_000, 1_200_000_000, 3, 0.8, 16


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--shuffle", choices=SHUFFLES, default="exact", help="The order of the side with a limit.")
    parser.add_argument("--reads-only", action="store_true", help="Only count the reads of both orders.")
    parser.add_argument(
        "--train-once", type=Path, metavar="INDEX", help="Only print an epoch's seconds per tracklet."
    )
    options = parser.parse_args()
    if options.train_once is not None:
        folder = options.train_once.parent / "runs"
        print(epoch_seconds_per_tracklet(options.train_once, folder, shuffle=options.shuffle))
        return
    with scratch_folder(options) as folder:
        index = write_cache(folder / "random.h5", TRACKLETS)
        for shuffle in SHUFFLES:
            sizes = read_sizes(index, shuffle)
            print(f"{shuffle}: {len(sizes)} reads an epoch, median {np.median(sizes) / 1e6:.2f} MB", flush=True)
        if options.reads_only:
            return
        size = sum(path.stat().st_size for path in folder.rglob("*.h5"))
        print(f"cache {size / 1e9:.2f} GB, limit {LIMIT / 1e9:.2f} GB; ours: under the limit", flush=True)
        assert size > LIMIT, "the cache fits into the limit"

        def limited() -> float:
            with memory_limit(LIMIT) as prefix:
                return train_alone(index, prefix, options.shuffle)

        share = compare_rates(
            limited, lambda: train_alone(index, [], "exact"), repeats=REPEATS, unit="tracklets", warm_up=False
        )
    verdict("training on a cache larger than the memory allowed", share, TARGET)


def train_alone(index: Path, prefix: list[str], shuffle: str) -> float:
    """Return the seconds per tracklet of an epoch in a process of its own."""
    forget_pages(index.parent)
    command = [*prefix, sys.executable, __file__, f"--train-once={index}", f"--shuffle={shuffle}"]
    return float(run_quietly(command).stdout)


def read_sizes(index: Path, shuffle: str) -> list[int]:
    """Return the bytes of each read of one epoch."""
    features = open_features(index)
    shard_rows = [shard.rows for shard in features.shards]
    windows = epoch_windows(features.rows_of("train"), shard_rows, shuffle, np.random.default_rng(0))
    with counted_reads() as sizes:
        for _ in DeviceRows(features.visual, torch.device("cpu")).windows(windows, BATCH):
            pass
    return sizes


@contextmanager
def counted_reads() -> Iterator[list[int]]:
    """Yield a list that gets the bytes of each `preadv` until the block ends."""
    sizes: list[int] = []
    preadv = os.preadv

    def counted(*arguments: object) -> int:
        sizes.append(preadv(*arguments))  # type: ignore[arg-type]
        return sizes[-1]

    os.preadv = counted  # type: ignore[assignment]
    try:
        yield sizes
    finally:
        os.preadv = preadv


if __name__ == "__main__":
    main()
