"""The figures of one device, a GPU above all: forward, JPEG to shard, twenty epochs, memory.

    python benchmarks/device_figures.py --device cuda:0

- forward: frames/s of the bare encoder at its best batch, as a share of the device's measured rate of matrix
  products (both in the precision of `--precision auto`);
- JPEG to shard: `vpar extract` on crops of MARS's size in its layout, as a share of that forward;
- twenty epochs: `vpar train --protocol paper` on a cache of MARS's size, from opening the cache to the written
  run, evaluation and all; the seals were checked before;
- memory: the most that torch held on a GPU in each.

Needs 10 GB of disk at full size. `--device cpu --tracklets 64 --train-tracklets 512 --epochs 2` shows on any
machine that it works; the targets are those of a GPU at full size. A line of JSON for each figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from bare_forward import WEIGHTS, BareForward, flops_per_frame, matrix_rate
from mars_tree import Size, write_mars_tree
from paired import timed, verdict
from random_inputs import FRAMES, Content, write_cache

from vpar_cache.base.devices import resolve_device
from vpar_cache.cache import format as fmt
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract_features
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train

MARS_TRACKLETS, CROP = 16_360, (128, 256)
BATCHES = {"cpu": (1, 2, 4, 8), "cuda": (64, 128, 256, 512, 1024)}
FORWARD_SHARE, SHARD_SHARE, MOST_SECONDS = 0.5, 0.8, 15.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tracklets", type=int, default=MARS_TRACKLETS, help="To extract.")
    parser.add_argument("--train-tracklets", type=int, default=MARS_TRACKLETS, help="Of the cache to train on.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="Where to make the files. Default: a temporary folder.")
    options = parser.parse_args()
    device = resolve_device(options.device)
    print(describe(device), flush=True)
    bare = BareForward(device, BATCHES[device.type])
    rate = matrix_rate(device)
    print(f"matrix products: {rate / 1e12:.2f} TFLOP/s; forward {held(device)}", flush=True)
    share = bare.frames_per_second * flops_per_frame() / rate
    verdict(f"forward on {device}, share of its matrix rate", share, FORWARD_SHARE)
    with tempfile.TemporaryDirectory(prefix="vpar-device-", dir=options.folder) as folder:
        frames = extraction_rate(Path(folder), options.device, options.tracklets)
        print(f"JPEG to shard: {frames:.1f} frames/s; {held(device)}", flush=True)
        share = frames / bare.frames_per_second
        verdict(f"JPEG to shard on {device}, share of the forward", share, SHARD_SHARE)
        seconds = training_seconds(Path(folder), options.device, options.train_tracklets, options.epochs)
    print(f"{options.epochs} epochs on a cache of {options.train_tracklets} tracklets; {held(device)}")
    verdict(f"{options.epochs} epochs on {device}, seconds", seconds, MOST_SECONDS, at_most=True)


def describe(device: torch.device) -> str:
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    if device.type != "cuda":
        return f"CPU, {torch.get_num_threads()} threads; {versions}"
    query = ["nvidia-smi", f"--id={device.index}", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    card = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    return f"{card}; CUDA {torch.version.cuda}; {versions}"


def held(device: torch.device) -> str:
    """The most memory since the last call."""
    if device.type != "cuda":
        return "no GPU memory"
    most = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return f"at most {most / 1e9:.2f} GB on the GPU"


def extraction_rate(folder: Path, device: str, tracklets: int) -> float:
    """Frames/s of the second of two extractions."""
    root, out = folder / "mars", folder / "cache" / "mars.h5"
    write_mars_tree(root, Size().scaled(tracklets / MARS_TRACKLETS), CROP)
    config = ExtractConfig(dataset="mars", root=root, out=out, weights=WEIGHTS, devices=(device,), frames=FRAMES)
    for _ in range(2):
        shutil.rmtree(fmt.shard_folder(out), ignore_errors=True)
        out.unlink(missing_ok=True)
        extract_features(config)
    record = json.loads((fmt.shard_folder(out) / "timing.json").read_text("utf-8"))
    shutil.rmtree(fmt.shard_folder(out))
    return FRAMES / float(record["encode_seconds_per_tracklet"])


def training_seconds(folder: Path, device: str, tracklets: int, epochs: int) -> float:
    """Of the second of two trainings; the first, of one epoch, checks the seals."""
    index = write_cache(
        folder / "random.h5", tracklets, content=Content(num_test=tracklets * 8_062 // MARS_TRACKLETS)
    )
    settings = {"protocol": "paper", "device": device, "runs": folder / "runs"}
    train(TrainConfig(features=index, epochs=1, **settings))
    return timed(lambda: train(TrainConfig(features=index, epochs=epochs, **settings)))


if __name__ == "__main__":
    main()
