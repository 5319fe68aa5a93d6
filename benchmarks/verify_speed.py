"""How fast `vpar verify` reads, beside a plain read of the same files; what the first-use check adds to an epoch.

    python benchmarks/verify_speed.py --tracklets 500

The cache has rows of the real shape (197 x 512 float16) with random content. Reads alternate between the two
sides: with the pages in memory, and from the disk after the kernel was asked to drop them. The epoch is one of the
paper's model (vtf, width 512, batch 16) over the train rows, four in five, on this machine's first device.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from paired import REPEATS, alternate, median_ratio, median_seconds, timed, verdict
from random_inputs import write_cache

from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.verify import verify_cache
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tracklets", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="Where to make the cache. Default: a temporary folder.")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vpar-verify-", dir=options.folder) as folder:
        index = write_cache(Path(folder) / "big.h5", options.tracklets)
        files = [index, *sorted(fmt.shard_folder(index).glob("*.h5"))]
        megabytes = sum(path.stat().st_size for path in files) / 1e6
        for label, prepare in (("in memory", lambda: None), ("from disk", lambda: drop_pages(files))):
            pairs = alternate(lambda: verify_cache(index), lambda: read_all(files), prepare=prepare)
            verify, plain = median_seconds(pairs)
            print(
                f"{label}: {megabytes:.0f} MB; plain read {megabytes / plain:.0f} MB/s, verify "
                f"{megabytes / verify:.0f} MB/s: {median_ratio(pairs):.2f} of the plain read"
            )
        first = timed(lambda: open_features(index))
        again = statistics.median(timed(lambda: open_features(index)) for _ in range(REPEATS))
        check = first - again
        print(f"opening: {first:.3f} s with the check at first use, {again:.3f} s after it")
        epoch = epoch_seconds(index, Path(folder), options.device)
        print(f"one epoch: {epoch:.2f} s")
    verdict("seal check at first use, share of an epoch", check / epoch, 0.03, at_most=True)


def read_all(files: list[Path]) -> None:
    """What a plain copy would read, in chunks as large as verify's."""
    buffer = bytearray(8 << 20)
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def drop_pages(files: list[Path]) -> None:
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def epoch_seconds(index: Path, folder: Path, device: str) -> float:
    """Of the second epoch: the first also warms up the machine."""
    run = train(
        TrainConfig(features=index, runs=folder / "runs", protocol="paper", epochs=2, device=device, dim=512)
    )
    history = pq.read_table(run.folder / "history.parquet").to_pylist()
    return float(history[-1]["seconds"])


if __name__ == "__main__":
    main()
