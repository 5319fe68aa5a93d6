"""Seconds per tracklet of a real epoch of `vpar train`, for the benchmarks that compare it.

As a process of its own: python benchmarks/our_epoch.py INDEX RUNS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train

EPOCHS = 3


def our_seconds_per_tracklet(index: Path, runs: Path, **settings: Any) -> float:
    """Of the last of a few epochs over all train rows, loading and all: the first also warms up the machine."""
    config = TrainConfig(
        features=index, runs=runs, protocol="paper", epochs=EPOCHS, name="benchmark", overwrite=True, **settings
    )
    folder = train(config).folder
    history = pq.read_table(folder / "history.parquet").to_pylist()
    num_train = json.loads((folder / "run.json").read_text("utf-8"))["num_train"]
    return float(history[-1]["seconds"]) / int(num_train)


if __name__ == "__main__":
    print(our_seconds_per_tracklet(Path(sys.argv[1]), Path(sys.argv[2]), device="cpu"))
