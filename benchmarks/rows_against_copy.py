"""How fast shuffled batches come out of a cache, beside a plain copy of as many bytes from memory to memory.

    python benchmarks/rows_against_copy.py --tracklets 4000

Ours is what training reads: `features.visual.batches(permutation, 16)` over all rows of a cache of the real shape
(197 x 512 float16, 202 kB a row, 64 or 256 rows a file), every page of it in memory. The rows lie scattered over
files, a batch must be complete before the caller gets it, and it stays as it is until the caller asks for the
next.

The plain copy has none of these duties: one array in memory holds the same bytes, two threads have half of it each
and copy it front to back, one batch of 16 rows after the other, each with `numpy.copyto` into a buffer of its own
that it uses again and again. Ours has three buffers, filled by a thread and by the caller while it waits. Neither
side looks at what it copied. The arrays are much larger than the processor's caches.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paired import alternate, median_ratio, median_seconds, verdict
from random_inputs import write_cache

from vpar_cache.cache.features import open_features
from vpar_cache.cache.rows import RowArray

BATCH = 16
THREADS = 2
REPEATS = 101


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tracklets", type=int, default=4000)
    parser.add_argument("--folder", type=Path, help="Where to make the cache. Default: a temporary folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vpar-rows-", dir=options.folder) as folder:
        rows = open_features(write_cache(Path(folder) / "rows.h5", options.tracklets)).visual
        order = np.random.default_rng(0).permutation(len(rows))
        plain = rows.gather(np.arange(len(rows)))
        check(rows, order, plain)
        pairs = alternate(lambda: read_batches(rows, order), lambda: copy_plainly(plain), repeats=REPEATS)
    gigabytes = plain.nbytes / 1e9
    ours, theirs = (gigabytes / seconds for seconds in median_seconds(pairs))
    print(f"{gigabytes:.2f} GB in batches of {BATCH}: ours {ours:.1f} GB/s, plain copy {theirs:.1f} GB/s")
    verdict("rows from the cache in shuffled batches, against a plain copy", median_ratio(pairs), 0.8)


def check(rows: RowArray, order: NDArray[np.int64], plain: NDArray[Any]) -> None:
    """Every batch must hold the rows asked for: fast and wrong would be no figure."""
    for start, batch in zip(range(0, len(order), BATCH), rows.batches(order, BATCH), strict=True):
        assert batch.tobytes() == plain[order[start : start + BATCH]].tobytes(), f"wrong rows from {start}"


def read_batches(rows: RowArray, order: NDArray[np.int64]) -> None:
    for _ in rows.batches(order, BATCH):
        pass


def copy_plainly(source: NDArray[Any]) -> None:
    halves = np.array_split(source, THREADS)
    threads = [threading.Thread(target=_copy_in_batches, args=(half,)) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _copy_in_batches(source: NDArray[Any]) -> None:
    buffer = np.empty((BATCH, *source.shape[1:]), source.dtype)
    for start in range(0, len(source), BATCH):
        part = source[start : start + BATCH]
        np.copyto(buffer[: len(part)], part)


if __name__ == "__main__":
    main()
