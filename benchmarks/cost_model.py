"""The terms of docs/scaling.md, counted or measured on this machine, and what they allow at most.

    python benchmarks/cost_model.py

FLOPs are counted by PyTorch's own counter. Rates are medians: matrix products, decoding, hashing, writing and
reading the disk. No figure with a target.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bare_forward import flops_per_frame, matrix_rate
from blake3 import blake3
from memory_limit import forget_pages
from paired import timed
from PIL import Image
from random_inputs import FRAMES, Content, write_cache, write_index_alone
from torch.utils.flop_counter import FlopCounterMode

from vpar_cache.cache.features import open_features
from vpar_cache.datasets.frames import decode_frame
from vpar_cache.models.build import build_model
from vpar_cache.models.objective import Objective
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.features_for_model import model_inputs

REPEATS, BATCH, TRACKLETS = 7, 16, 1024
CROP = (128, 256)
"""Width and height of MARS's pictures."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="Where to write. Default: a temporary folder.")
    options = parser.parse_args()
    rate = matrix_rate(torch.device("cpu"))
    print(f"matrix products: {rate / 1e9:.0f} GFLOP/s on {torch.get_num_threads()} threads", flush=True)
    with tempfile.TemporaryDirectory(prefix="vpar-cost-", dir=options.folder) as folder:
        print_bytes(Path(folder))
        print_disk(Path(folder))
        print_training(Path(folder) / "random.h5", rate)
        print_starting(Path(folder) / "small.h5")
    print_decoding()
    print_forward(rate)


def median_seconds(action: Callable[[], object]) -> float:
    action()
    return statistics.median(timed(action) for _ in range(REPEATS))


def print_bytes(folder: Path) -> None:
    index = write_cache(folder / "random.h5", TRACKLETS)
    shards = sum(path.stat().st_size for path in (folder / "random").glob("*.h5"))
    print(f"shards: {shards / TRACKLETS:.0f} bytes a tracklet", flush=True)
    small, large = (write_index_alone(folder / f"{n}.h5", n).stat().st_size for n in (8_000, 16_000))
    print(f"index: {(large - small) / 8_000:.0f} bytes a tracklet, {index.stat().st_size} for {TRACKLETS}")


def print_disk(folder: Path) -> None:
    data = np.random.default_rng(0).bytes(512 << 20)
    path = folder / "plain"

    def write() -> None:
        with path.open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())

    print(f"disk: written at {len(data) / median_seconds(write) / 1e9:.2f} GB/s", flush=True)
    reads = []
    for _ in range(3):
        forget_pages(folder)
        reads.append(timed(path.read_bytes))
    print(f"disk: read at {len(data) / statistics.median(reads) / 1e9:.2f} GB/s")
    hashing = median_seconds(lambda: blake3(data).digest())
    print(f"blake3: {len(data) / hashing / 1e9:.2f} GB/s on one thread", flush=True)
    path.unlink()


def print_decoding() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 4, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize(CROP, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    data = stream.getvalue()
    seconds = median_seconds(lambda: [decode_frame(data, 224, "pad") for _ in range(50)]) / 50
    print(f"decoding {CROP[0]} x {CROP[1]}: {1 / seconds:.0f} frames/s on one thread", flush=True)


def print_forward(rate: float) -> None:
    flops = flops_per_frame()
    print(f"encoder: {flops / 1e9:.2f} GFLOP a frame, {FRAMES * flops / 1e9:.0f} a tracklet")
    print(f"encoder: at most {rate / flops:.1f} frames/s by the rate of matrix products")


def print_training(index: Path, rate: float) -> None:
    features = open_features(index)
    rows = features.rows_of("train")
    labels = torch.from_numpy(features.labels[rows])
    config = TrainConfig(features=index)
    inputs = model_inputs(config.model, "visual", features, labels)
    model = build_model(config.model_settings(), inputs)
    objective = Objective("bce", inputs.groups, inputs.train_rates, torch.device("cpu"))
    visual = torch.from_numpy(features.visual.gather(rows[:BATCH])).float()  # (B, N, D)
    with FlopCounterMode(display=False) as counter:
        objective.loss(model(visual, inputs.text), labels[:BATCH].float()).backward()
    flops = counter.get_total_flops() / BATCH
    print(f"training: {flops / 1e9:.2f} GFLOP a tracklet, forward and backward")
    print(f"training: at most {rate / flops:.0f} tracklets/s by the rate of matrix products", flush=True)


def print_starting(index: Path) -> None:
    """A step in which computing is next to nothing: one tracklet of two tokens, a model of width 8."""
    write_cache(index, 64, content=Content(side=1))
    features = open_features(index)
    rows = features.rows_of("train")
    labels = torch.from_numpy(features.labels[rows])
    config = TrainConfig(features=index, dim=8, heads=1)
    inputs = model_inputs(config.model, "visual", features, labels)
    model = build_model(config.model_settings(), inputs)
    objective = Objective("bce", inputs.groups, inputs.train_rates, torch.device("cpu"))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    visual = torch.from_numpy(features.visual.gather(rows[:1]))  # (1, N, D)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(visual.to(torch.bfloat16), inputs.text)
        optimizer.zero_grad(set_to_none=True)
        objective.loss(logits.float(), labels[:1].float()).backward()
        optimizer.step()

    seconds = median_seconds(lambda: [step() for _ in range(200)]) / 200
    print(f"training: starting the operations of a step takes {1000 * seconds:.2f} ms", flush=True)


if __name__ == "__main__":
    main()
