"""How fast shuffled batches come out of a cache, beside h5py's fancy indexing of the same rows.

    python benchmarks/rows_against_h5py.py --tracklets 1000

Ours is what training reads, `features.visual.batches(permutation, size)` over rows of the real shape (197 x 512
float16, 202 kB). h5py's side is the usual layout for random access to rows: one uncompressed dataset with a
chunk a row, (1, 197, 512), in a file that stays open, and `dataset[indices]` for each batch, with the indices
sorted, since h5py takes no others. Both read the same rows in the same batches, with the files in memory; h5py
only reads as many of them as take seconds. The figure is the smaller of the two ratios, for batches of 16 and
of 64.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from support.random_caches import read_batches, write_cache
from support.timing import alternate, median_ratio, median_seconds, option_parser, scratch_folder, verdict

from vpar_cache.cache.features import open_features
from vpar_cache.cache.rows import RowArray

BATCH_SIZES = 16, 64
H5PY_ROWS = 256
"""Of each pass: its rate does not depend on their number."""
DATASET = "visual"


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--tracklets", type=int, default=1000)
    options = parser.parse_args()
    with scratch_folder(options) as folder:
        rows = open_features(write_cache(folder / "rows.h5", options.tracklets)).visual
        path = write_chunked(folder / "chunked.h5", rows)
        with h5py.File(path, "r") as file:
            ratios = [compare(rows, file[DATASET], batch_size) for batch_size in BATCH_SIZES]
    verdict("rows from the cache, against h5py's fancy indexing", min(ratios), 100)


def write_chunked(path: Path, rows: RowArray) -> Path:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(DATASET, rows.shape, rows.dtype, chunks=(1, *rows.shape[1:]))
        for number in range(len(rows)):
            dataset[number] = rows.gather(np.array([number]))[0]  # (197, 512)
    return path


def compare(rows: RowArray, dataset: h5py.Dataset, batch_size: int) -> float:
    order = np.random.default_rng(0).permutation(len(rows))
    few = order[:H5PY_ROWS]
    first = np.sort(order[:batch_size])
    assert np.array_equal(next(iter(rows.batches(first, batch_size))), dataset[first]), "the sides read other rows"
    pairs = alternate(lambda: read_batches(rows, order, batch_size), lambda: read_h5py(dataset, few, batch_size))
    ratio = median_ratio(pairs, ours_work=len(order), theirs_work=len(few))
    ours, theirs = median_seconds(pairs)
    print(
        f"batches of {batch_size}: ours {1e6 * ours / len(order):.1f} microseconds a row, "
        f"h5py {1e6 * theirs / len(few):.0f}: {ratio:.0f} times as fast",
        flush=True,
    )
    return ratio


def read_h5py(dataset: h5py.Dataset, order: NDArray[np.int64], batch_size: int) -> None:
    for start in range(0, len(order), batch_size):
        dataset[np.sort(order[start : start + batch_size])]


if __name__ == "__main__":
    main()
