"""How much of a training epoch is loading: waiting for batches, and the cost of gathering them.

    python benchmarks/train_loading_share.py

`vpar train` (width 512, batch 16) on a cache of random features, pages in memory. Rows are gathered on a thread
beside the training, whose cores it uses: so the processor time of gathering an epoch's rows, measured alone and
spread over the cores, is counted together with the waiting.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from support.program import epoch_seconds, train
from support.random_caches import read_batches, write_cache
from support.timing import option_parser, scratch_folder, verdict

from vpar_cache.base.cores import usable_cores
from vpar_cache.cache.features import open_features
from vpar_cache.training.device_rows import DeviceRows

TRACKLETS, EPOCHS, BATCH, TARGET = 1000, 5, 16, 0.02


def main() -> None:
    options = option_parser(__doc__).parse_args()
    with scratch_folder(options) as folder:
        index = write_cache(folder / "random.h5", TRACKLETS)
        waits = WaitingTimes()
        with patch.object(DeviceRows, "batches", waits.timing(DeviceRows.batches)):
            epochs = epoch_seconds(train(index, folder, epochs=EPOCHS, batch_size=BATCH))
        gathering = [gather_seconds(index) / usable_cores() for _ in range(EPOCHS)]
    shares = []
    for epoch, waited, gathered in zip(epochs, waits.seconds, gathering, strict=False):  # one more: the test rows
        shares.append((waited + gathered) / epoch)
        print(f"epoch {epoch:.3f} s: waited {waited:.4f} s, gathering {gathered:.4f} s: {100 * shares[-1]:.2f} %")
    verdict("loading's share of an epoch", statistics.median(shares), TARGET, at_most=True)


class WaitingTimes:
    """How long each pass over batches waited for them."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def timing(self, batches: Any) -> Any:
        """Return the same method, timed."""

        def timed_batches(*arguments: Any) -> Iterator[Any]:
            waited = 0.0
            found = iter(batches(*arguments))
            while True:
                started = time.perf_counter()
                batch = next(found, None)
                waited += time.perf_counter() - started
                if batch is None:
                    break
                yield batch
            self.seconds.append(waited)

        return timed_batches


def gather_seconds(index: Path) -> float:
    """Return the processor time, on all threads, of reading the rows of one epoch."""
    features = open_features(index)
    order = np.random.default_rng(0).permutation(features.rows_of("train"))
    started = time.process_time()
    read_batches(features.visual, order, BATCH)
    return time.process_time() - started


if __name__ == "__main__":
    main()
