"""The figures of one device, above all a GPU: forward, JPEG to shard, epochs, the host's share of a step, memory.

    python benchmarks/device_figures.py --device cuda:0

- forward: frames/s of the bare encoder in its best batch size, as a share of the device's rate of matrix
  products, both in the precision that `--precision auto` resolves to;
- JPEG to shard: frames/s of `vpar extract` on crops of MARS's size in its layout, as a share of that forward;
- epochs: `vpar train --recipe paper` on a cache of MARS's size: seconds per epoch, and of the whole run with
  evaluation;
- a step: milliseconds of a training step, and how many of them the host needs to start its operations;
- memory: the most that torch held on the GPU in each part, and the largest resident set of the process.

At full size it needs 8 GB of disk and at most 10 minutes on one data-centre GPU; `--minutes` skips the parts
that would begin later than that. `--tracklets 12 --cache-tracklets 96 --epochs 2 --frames-to-search 4 --matrix
1024 --device cpu` shows on any machine that it works. The targets are those of a GPU at full size. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from support.forward import BareForward, finished, flops_per_frame, matrix_rate
from support.mars_tree import Size, write_mars_tree
from support.program import CROP, epoch_seconds, extract_seconds_per_frame, remove_cache, train, training_step
from support.random_caches import Content, write_cache
from support.timing import option_parser, scratch_folder, timed

from vpar_cache.base.devices import resolve_device

MARS_TRACKLETS, MARS_TEST = 16_360, 8_062
BATCHES = {"cpu": (1, 4), "cuda": (64, 128, 256, 512, 1024)}
TARGETS = {"forward_of_matrix_rate": 0.5, "shard_of_forward": 0.8, "train_seconds": 15.0}
STEPS = {"cpu": 5, "cuda": 50}


def main() -> None:
    options = parse_options()
    device = resolve_device(options.device)
    started = time.monotonic()
    figures = Figures(device)
    with scratch_folder(options) as folder:
        for part in (measure_forward, measure_extraction, measure_training):
            if (time.monotonic() - started) / 60 > options.minutes:
                print(f"{part.__name__} is left out: --minutes {options.minutes:g} are over", flush=True)
            else:
                part(figures, device, folder, options)
                figures.note_memory(part.__name__.removeprefix("measure_"))
    figures.add(seconds=time.monotonic() - started)
    print(json.dumps({**figures.found, "targets": TARGETS}))


def parse_options() -> argparse.Namespace:
    parser = option_parser(__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tracklets", type=int, default=4096, help="To extract, 6 frames each.")
    parser.add_argument("--cache-tracklets", type=int, default=MARS_TRACKLETS, help="Of the cache to train on.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--frames-to-search", type=int, help="In each try of the search for the best batch size.")
    parser.add_argument("--matrix", type=int, help="Side of the matrices. Default: 8192 on a GPU, 2048 on a CPU.")
    parser.add_argument("--minutes", type=float, default=10.0, help="No part begins later than this.")
    return parser.parse_args()


class Figures:
    """What was found, by name; each is also printed."""

    def __init__(self, device: torch.device) -> None:
        versions = f"Python {platform.python_version()}, torch {torch.__version__}"
        if device.type == "cuda":
            query = [
                "nvidia-smi",
                f"--id={device.index}",
                "--query-gpu=name,driver_version",
                "--format=csv,noheader",
            ]
            card = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
            self.found: dict[str, Any] = {"device": f"{card}; CUDA {torch.version.cuda}; {versions}"}
        else:
            self.found = {"device": f"CPU, {torch.get_num_threads()} threads; {versions}"}
        self._device = device
        print(self.found["device"], flush=True)

    def add(self, **found: float) -> None:
        for name, value in found.items():
            self.found[name] = float(f"{value:.4g}")
            print(f"{name}: {self.found[name]}", flush=True)

    def note_memory(self, part: str) -> None:
        """Add the most memory: of the GPU since the last call, of the host since the start."""
        if self._device.type == "cuda":
            self.add(**{f"{part}_gpu_peak_gb": torch.cuda.max_memory_allocated(self._device) / 1e9})
            torch.cuda.reset_peak_memory_stats(self._device)
            torch.cuda.empty_cache()
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        self.add(**{f"{part}_host_peak_gb": resident / 1e9})


def measure_forward(figures: Figures, device: torch.device, folder: Path, options: argparse.Namespace) -> None:
    rate = matrix_rate(device, options.matrix)
    figures.add(matrix_tflops=rate / 1e12)
    bare = BareForward(device, BATCHES[device.type], options.frames_to_search)
    figures.add(
        forward_frames_per_second=bare.frames_per_second,
        forward_batch=bare.batch,
        forward_of_matrix_rate=bare.frames_per_second * flops_per_frame() / rate,
    )


def measure_extraction(figures: Figures, device: torch.device, folder: Path, options: argparse.Namespace) -> None:
    root, out = folder / "mars", folder / "cache" / "mars.h5"
    write_mars_tree(root, Size().scaled(options.tracklets / MARS_TRACKLETS), CROP)
    for _ in range(2):  # the first warms up
        seconds = extract_seconds_per_frame("mars", root, out, str(device))
    remove_cache(out)
    figures.add(shard_frames_per_second=1 / seconds)
    if "forward_frames_per_second" in figures.found:
        figures.add(shard_of_forward=1 / seconds / figures.found["forward_frames_per_second"])


def measure_training(figures: Figures, device: torch.device, folder: Path, options: argparse.Namespace) -> None:
    tracklets, runs = options.cache_tracklets, folder / "runs"
    content = Content(num_test=tracklets * MARS_TEST // MARS_TRACKLETS)
    index = write_cache(folder / "random.h5", tracklets, content=content)
    train(index, runs, device=str(device), epochs=1, name="warm-up")  # also checks the seals
    whole = timed(lambda: train(index, runs, device=str(device), epochs=options.epochs, name="timed"))
    epochs = epoch_seconds(runs / "timed")
    figures.add(epochs=len(epochs), train_seconds=whole, epoch_seconds=statistics.median(epochs))
    host, step = step_seconds(index, device)
    figures.add(host_milliseconds_a_step=1000 * host, milliseconds_a_step=1000 * step)


def step_seconds(index: Path, device: torch.device) -> tuple[float, float]:
    """Return what the host needs to start the operations of a step, and a step among many; loading is in neither.

    On a CPU the two are the same.
    """
    step, number = training_step(index, device), STEPS[device.type]
    finished(device, lambda: [step() for _ in range(number)])  # warms up
    started = []
    for _ in range(number):
        finished(device, lambda: started.append(timed(step)))  # the device waits for the host
    return statistics.median(started), finished(device, lambda: [step() for _ in range(number)]) / number


if __name__ == "__main__":
    main()
