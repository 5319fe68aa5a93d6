"""The index of a cache of 10 million rows: time and memory to write it and to open the cache. Target: under 2 GiB.

    python benchmarks/large_index.py [--tracklets N] [--rows-per-shard R ...]

Real shards: 39,063 of 256 rows, as many as `vpar extract` makes, then 2,442 of 4,096. A row has one token of
width 8, because the index does not depend on the size of a row. Each step is a process, and the kernel says how
large it was: reading the headers of all shards and writing the index, then `open_features` with its check of every
byte and 10,000 rows from all over the cache.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from support.processes import peak_bytes
from support.random_caches import Content, write_index_over, write_shards
from support.timing import option_parser, scratch_folder, timed, verdict

from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features

TRACKLETS, ROWS_PER_SHARD, TARGET = 10_000_000, (256, 4_096), 2 << 30
CONTENT = Content(side=0, dim=8)


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--tracklets", type=int, default=TRACKLETS)
    parser.add_argument("--rows-per-shard", type=int, nargs="+", default=ROWS_PER_SHARD)
    options = parser.parse_args()
    peaks = []
    for rows in options.rows_per_shard:
        with scratch_folder(options) as folder:
            index = folder / "large.h5"
            seconds = timed(lambda index=index, rows=rows: write_all_shards(index, options.tracklets, rows))
            shards = len(list(fmt.shard_folder(index).iterdir()))
            print(f"{shards:,} shards of {rows:,} rows: written in {seconds:.0f} s", flush=True)
            for step in STEPS:
                command = [sys.executable, __file__, step, str(index), str(options.tracklets)]
                seconds = timed(lambda command=command: peaks.append(peak_bytes(command)))
                print(f"{step}: {seconds:.1f} s, at most {peaks[-1] / 2**20:.0f} MiB", flush=True)
            print(f"the index has {index.stat().st_size / options.tracklets:.0f} bytes a row", flush=True)
    name = f"memory to write and open an index of {options.tracklets:,} rows"
    verdict(name, max(peaks) / TARGET, 1, at_most=True)


def write_all_shards(index: Path, tracklets: int, rows_per_shard: int) -> None:
    for _ in write_shards(index, tracklets, rows_per_shard, CONTENT):
        pass


def write_large_index(index: Path, tracklets: int) -> None:
    # The rows are numbered, so that any order of the shards does.
    write_index_over(index, sorted(fmt.shard_folder(index).glob(fmt.SHARD_GLOB)), tracklets, CONTENT)


def open_and_read(index: Path, tracklets: int) -> None:
    features = open_features(index)
    assert len(features) == tracklets
    rows = np.random.default_rng(0).integers(0, tracklets, 10_000)  # (n,)
    assert len(features.visual.gather(rows)) == len(rows)


STEPS = {"write the index": write_large_index, "open": open_and_read}

if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in STEPS:
        STEPS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
