"""How fast `vpar verify` reads, beside a plain read of the same files; what the first-use check adds to an epoch.

    python benchmarks/verify_speed.py --tracklets 500

The cache has rows of the real shape (197 x 512 float16) with random content. Reads alternate between the two
sides: with the pages in memory, and from the disk after the kernel was asked to drop them. The epoch is one of the
paper's model (vtf, width 512, batch 16) over the train rows, four in five, on this machine's first device.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from vpar_cache import cache_format as fmt
from vpar_cache.config import canonical_json, fingerprint
from vpar_cache.features import open_features
from vpar_cache.schema import MARS
from vpar_cache.shard_headers import read_shard_header
from vpar_cache.shards import IndexContents, ShardContents, ShardEntry, write_index, write_shard
from vpar_cache.train import train_model
from vpar_cache.train_config import TrainConfig
from vpar_cache.verify import verify_cache

TOKENS, DIM, FRAMES, ROWS_PER_SHARD = 197, 512, 6, 64
REPEATS = 7


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
        ratios = {}
        for label, prepare in (("in memory", lambda: None), ("from disk", lambda: drop_pages(files))):
            plain, verify = alternate(lambda: read_all(files), lambda: verify_cache(index), prepare)
            ratios[label] = plain / verify
            print(
                f"{label}: {megabytes:.0f} MB; plain read {megabytes / plain:.0f} MB/s, verify "
                f"{megabytes / verify:.0f} MB/s: {ratios[label]:.2f} of the plain read"
            )
        first = timed(lambda: open_features(index))
        again = statistics.median(timed(lambda: open_features(index)) for _ in range(REPEATS))
        check = first - again
        print(f"opening: {first:.3f} s with the check at first use, {again:.3f} s after it")
        epoch = epoch_seconds(index, Path(folder), options.device)
        print(f"one epoch: {epoch:.2f} s; the check at first use: {100 * check / epoch:.2f} % of it")
    figures = {"percent": round(100 * check / epoch, 3), "most": 3, "verify_to_plain_read": ratios}
    print(json.dumps({"figure": "seal check at first use, of an epoch", **figures, "met": check <= 0.03 * epoch}))


def write_cache(index: Path, tracklets: int) -> Path:
    """A sealed cache of random features, four train tracklets to one of test."""
    random = np.random.default_rng(0)
    config = {"backbone": "random content", "frames": FRAMES}
    entries, ids = [], []
    for number, start in enumerate(range(0, tracklets, ROWS_PER_SHARD)):
        rows = min(ROWS_PER_SHARD, tracklets - start)
        names = [f"{i:04d}C1T0001" for i in range(start, start + rows)]
        contents = ShardContents(
            arrays={
                fmt.VISUAL: random.standard_normal((rows, TOKENS, DIM), np.float32).astype(np.float16),
                fmt.FRAME_EMBEDDINGS: random.standard_normal((rows, FRAMES, DIM), np.float32).astype(np.float16),
            },
            tracklet_ids=names,
            skipped=[],
            visual_config=config,
            visual_fingerprint=fingerprint(config),
            source_digest=f"{number:064x}",
            weights="random:0",
            environment={},
        )
        path = fmt.shard_folder(index) / fmt.shard_name(number)
        write_shard(path, contents)
        header = read_shard_header(path)
        ids += names
        entries.append(
            ShardEntry(
                path.name,
                rows,
                path.stat().st_size,
                header.seal,
                header.source_digest,
                header.shapes,
                header.offsets,
                header.row_digests,
            )
        )
    values = random.integers(0, 2, (tracklets, len(MARS.groups)))
    num_train = tracklets * 4 // 5
    write_index(
        index,
        IndexContents(
            shards=entries,
            tracklet_ids=ids,
            splits=["train"] * num_train + ["test"] * (tracklets - num_train),
            person_ids=list(range(tracklets)),
            camera_ids=[1] * tracklets,
            num_frames=[FRAMES] * tracklets,
            labels=np.stack(
                [
                    MARS.encode({group.name: int(v) for group, v in zip(MARS.groups, row, strict=True)})
                    for row in values
                ]
            ),
            quality=np.zeros((tracklets, len(MARS.quality)), np.uint8),
            text_embeddings=random.standard_normal((MARS.num_outputs, DIM)).astype(np.float32),
            prompts=[output.phrase for output in MARS.outputs],
            schema=MARS,
            dataset="random",
            visual_config=config,
            visual_fingerprint=fingerprint(config),
            text_config=config,
            text_fingerprint=fingerprint(config),
            weights="random:0",
            environments=[canonical_json({})],
        ),
    )
    return index


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


def alternate(
    one: Callable[[], object], other: Callable[[], object], prepare: Callable[[], object]
) -> tuple[float, float]:
    """Median seconds of each side."""
    one(), other()
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for side, taken in zip((one, other), seconds, strict=True):
            prepare()
            taken.append(timed(side))
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def epoch_seconds(index: Path, folder: Path, device: str) -> float:
    """Of the second epoch: the first also warms up the machine."""
    run = train_model(
        TrainConfig(features=index, runs=folder / "runs", protocol="paper", epochs=2, device=device, dim=512)
    )
    history = pq.read_table(run.folder / "history.parquet").to_pylist()
    return float(history[-1]["seconds"])


if __name__ == "__main__":
    main()
