"""How fast shuffled batches come out of a cache, beside a plain copy of as many bytes from memory to memory.

    python benchmarks/rows_against_copy.py --tracklets 4000

Ours is what training reads: `features.visual.batches(permutation, 16)` over all rows of a cache of the real
shape (197 x 512 float16, 202 kB a row), every page of it in memory. The rows lie scattered over files, a batch
must be complete before the caller gets it, and it stays as it is until the caller asks for the next.

The plain copy has none of these duties: one array in memory holds the same bytes, and each of two threads
copies one half of it front to back, a batch of 16 rows after the other, with `numpy.copyto` into one reused
buffer. Neither side looks at what it copied. The arrays are much larger than the processor's caches.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.random_caches import read_batches, write_cache
from support.timing import alternate, median_ratio, median_seconds, option_parser, scratch_folder, verdict

from vpar_cache.cache.features import open_features
from vpar_cache.cache.rows import RowArray

BATCH, THREADS, REPEATS, TARGET = 16, 2, 101, 0.7


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--tracklets", type=int, default=4000)
    options = parser.parse_args()
    with scratch_folder(options) as folder:
        rows = open_features(write_cache(folder / "rows.h5", options.tracklets)).visual
        order = np.random.default_rng(0).permutation(len(rows))
        plain = rows.gather(np.arange(len(rows)))  # (N, 197, 512)
        check(rows, order, plain)
        pairs = alternate(lambda: read_batches(rows, order, BATCH), lambda: copy_plainly(plain), repeats=REPEATS)
    gigabytes = plain.nbytes / 1e9
    ours, theirs = (gigabytes / seconds for seconds in median_seconds(pairs))
    print(f"{gigabytes:.2f} GB in batches of {BATCH}: ours {ours:.1f} GB/s, plain copy {theirs:.1f} GB/s")
    verdict("rows from the cache in shuffled batches, against a plain copy", median_ratio(pairs), TARGET)


def check(rows: RowArray, order: NDArray[np.int64], plain: NDArray[Any]) -> None:
    """Compare every batch with the rows asked for: a fast reader of wrong rows would be worthless."""
    for start, batch in zip(range(0, len(order), BATCH), rows.batches(order, BATCH), strict=True):
        assert batch.tobytes() == plain[order[start : start + BATCH]].tobytes(), f"wrong rows from {start}"


def copy_plainly(source: NDArray[Any]) -> None:
    halves = np.array_split(source, THREADS)
    threads = [threading.Thread(target=_copy_in_batches, args=(half,)) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _copy_in_batches(source: NDArray[Any]) -> None:
    buffer = np.empty((BATCH, *source.shape[1:]), source.dtype)  # (B, 197, 512)
    for start in range(0, len(source), BATCH):
        part = source[start : start + BATCH]
        np.copyto(buffer[: len(part)], part)


if __name__ == "__main__":
    main()
