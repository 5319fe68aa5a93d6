"""The terms of docs/scaling.md, counted or measured on this machine, and the rates that they allow at most.

    python benchmarks/cost_model.py

FLOPs are counted by PyTorch's own counter. Rates are medians: matrix products, decoding, hashing, writing and
reading the disk. No figure with a target.
"""

from __future__ import annotations

import io
import os
import statistics
from pathlib import Path

import numpy as np
import torch
from blake3 import blake3
from PIL import Image
from support.forward import flops_per_frame, matrix_rate
from support.processes import forget_pages
from support.program import CROP, training_step
from support.random_caches import FRAMES, Content, write_cache
from support.timing import median_time, option_parser, scratch_folder, timed
from torch.utils.flop_counter import FlopCounterMode

from vpar_cache.datasets.decoding import decode_frame

BATCH, TRACKLETS = 16, 1024


def main() -> None:
    options = option_parser(__doc__).parse_args()
    rate = matrix_rate(torch.device("cpu"))
    print(f"matrix products: {rate / 1e9:.0f} GFLOP/s on {torch.get_num_threads()} threads", flush=True)
    with scratch_folder(options) as folder:
        print_bytes(folder)
        print_disk(folder)
        print_training(folder / "random.h5", rate)
        print_starting(folder / "2000.h5")
    print_decoding()
    print_forward(rate)


def print_bytes(folder: Path) -> None:
    write_cache(folder / "random.h5", TRACKLETS)
    shards = sum(path.stat().st_size for path in (folder / "random").glob("*.h5"))
    print(f"shards: {shards / TRACKLETS:.0f} bytes a tracklet", flush=True)
    # Rows of two tokens: the index does not depend on the size of a row.
    few, many = (
        write_cache(folder / f"{n}.h5", n, content=Content(side=1)).stat().st_size for n in (2_000, 8_000)
    )
    print(f"index: {(many - few) / 6_000:.0f} bytes a tracklet")


def print_disk(folder: Path) -> None:
    data = np.random.default_rng(0).bytes(512 << 20)
    path = folder / "plain"

    def write() -> None:
        with path.open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())

    print(f"disk: written at {len(data) / median_time(write) / 1e9:.2f} GB/s", flush=True)
    reads = []
    for _ in range(3):
        forget_pages(folder)
        reads.append(timed(path.read_bytes))
    print(f"disk: read at {len(data) / statistics.median(reads) / 1e9:.2f} GB/s")
    hashing = median_time(lambda: blake3(data).digest())
    print(f"blake3: {len(data) / hashing / 1e9:.2f} GB/s on one thread", flush=True)
    path.unlink()


def print_decoding() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 4, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize(CROP, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    data = stream.getvalue()
    seconds = median_time(lambda: [decode_frame(data, 224, "pad") for _ in range(50)]) / 50
    print(f"decoding {CROP[0]} x {CROP[1]}: {1 / seconds:.0f} frames/s on one thread", flush=True)


def print_forward(rate: float) -> None:
    flops = flops_per_frame()
    print(f"encoder: {flops / 1e9:.2f} GFLOP a frame, {FRAMES * flops / 1e9:.0f} a tracklet")
    print(f"encoder: at most {rate / flops:.1f} frames/s by the rate of matrix products")


def print_training(index: Path, rate: float) -> None:
    step = training_step(index, torch.device("cpu"), batch=BATCH, lower=False)
    with FlopCounterMode(display=False) as counter:
        step()
    flops = counter.get_total_flops() / BATCH
    print(f"training: {flops / 1e9:.2f} GFLOP a tracklet, forward and backward")
    print(f"training: at most {rate / flops:.0f} tracklets/s by the rate of matrix products", flush=True)


def print_starting(index: Path) -> None:
    """A step in which computing is next to nothing: one tracklet of two tokens, a model of width 8."""
    step = training_step(index, torch.device("cpu"), batch=1, lower=True, dim=8, heads=1)
    seconds = median_time(lambda: [step() for _ in range(200)]) / 200
    print(f"training: starting the operations of a step takes {1000 * seconds:.2f} ms", flush=True)


if __name__ == "__main__":
    main()
