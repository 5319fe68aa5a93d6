"""How much of a training epoch is loading: waiting for batches, and what gathering them costs.

    python benchmarks/train_loading_share.py

`vpar train` (width 512, batch 16) on a cache of random features, pages in memory. Rows are gathered on threads
beside the training, whose cores they take: so the processor time of gathering an epoch's rows, measured alone and
spread over the cores, is counted together with the waiting.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
from paired import verdict
from random_inputs import write_cache

from vpar_cache.cache.features import open_features
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.device_rows import DeviceRows
from vpar_cache.training.train import train

TRACKLETS, EPOCHS, BATCH, TARGET = 1000, 5, 16, 0.02


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="vpar-loading-") as folder:
        index = write_cache(Path(folder) / "random.h5", TRACKLETS)
        waits = WaitingTimes()
        with patch.object(DeviceRows, "batches", waits.timing(DeviceRows.batches)):
            settings = {"protocol": "paper", "epochs": EPOCHS, "batch_size": BATCH, "device": "cpu"}
            run = train(TrainConfig(features=index, runs=Path(folder), **settings))
        epochs = [row["seconds"] for row in pq.read_table(run.folder / "history.parquet").to_pylist()]
        gathering = [gather_seconds(index) / (os.cpu_count() or 1) for _ in range(EPOCHS)]
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
        """The same method, timed."""

        def timed_batches(*arguments: Any) -> Iterator[Any]:
            waited = 0.0
            found = batches(*arguments)
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
    """Of processor time, on all threads, for the rows of one epoch."""
    features = open_features(index)
    order = np.random.default_rng(0).permutation(features.rows_of("train"))
    started = time.process_time()
    for _ in features.visual.batches(order, BATCH):
        pass
    return time.process_time() - started


if __name__ == "__main__":
    main()
