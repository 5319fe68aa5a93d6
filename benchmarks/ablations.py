"""What part regions, tuned prompts and attention over frames add on a drawn set, each with several seeds.

    python benchmarks/ablations.py

It draws people (8 frames in each tracklet), encodes every frame with CLIP's ViT-B/16 of random weights, and trains
`vtf`, the same with each option, and `vtf-temporal`, on one cache. Each row is a mean over seeds on people who
train nothing: F1 and mA under `vtf`, beside the best constant and the own predictions shuffled, and F1 of the two
groups that change within a tracklet. By `--recipe paper`, since a choice by few people would add noise. The last
line is JSON.

What it can show: whether an option trains, and whether the drawings hold what it looks for. In the drawings most
marks stand at one height, and only steps, "pose varies" and "motion varies" differ between frames. What it cannot
show: a gain on real crops. Random features know no body parts and no words, so that a prompt is a random vector,
whose offset cannot mean better words; people stand in the same place; motion is two drawings in turn. A run has
few steps: a parameter that starts at zero moves by about their number times the learning rate, 0.1 (on MARS: 10).
Differences smaller than the deviation between seeds say nothing.

It takes about 15 minutes on 2 cores at its full size; `--people 24 --epochs 2 --seeds 1` shows that it works.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from support.program import extract
from support.timing import option_parser, scratch_folder

from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train

FRAMES = 8
ROWS: dict[str, dict[str, Any]] = {
    "vtf": {},
    "vtf --parts fixed": {"parts": "fixed"},
    "vtf --parts learned": {"parts": "learned"},
    "vtf --tune-text": {"tune_text": True},
    "vtf-temporal": {"model": "vtf-temporal"},
}
WITHIN_TRACKLET = ("pose", "motion")
"""Groups of which a value is seen only as a change between frames."""
COLUMNS = (
    "F1", "mA", "best constant", "shuffled",
    *(f"{name} {what}" for what in ("F1", "constant") for name in WITHIN_TRACKLET),
)  # fmt: skip


def main() -> None:
    options = parse_options()
    started = time.monotonic()
    with scratch_folder(options) as folder:
        index = extract_drawings(folder, options)
        print(f"drawn and extracted in {time.monotonic() - started:.0f} s", flush=True)
        found = {name: run_row(name, index, folder / "runs", options) for name in ROWS}
    print_table(found)
    print(json.dumps({"seconds": round(time.monotonic() - started), "rows": found}))


def parse_options() -> argparse.Namespace:
    parser = option_parser(__doc__)
    parser.add_argument("--people", type=int, default=160, help="Who train; a fourth as many test.")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def extract_drawings(folder: Path, options: argparse.Namespace) -> Path:
    """Return the index of a cache that holds the tokens of every frame."""
    size = DemoSize(options.people, max(20, options.people // 4), tracklets_per_person=1, frames=FRAMES)
    root = write_demo(folder / "people", size, seed=0)
    kept: dict[str, Any] = {"frames": FRAMES, "keep_frames": True, "devices": (options.device,)}
    index: Path = extract(dataset="mars", root=root, out=folder / "frames.h5", **kept).index
    return index


def run_row(name: str, index: Path, runs: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Return, for each column, one number of each seed, in percent."""
    found: dict[str, list[float]] = {column: [] for column in COLUMNS}
    for seed in range(options.seeds):
        started = time.monotonic()
        settings = {"epochs": options.epochs, "lr": 3e-4, "recipe": "paper", "device": options.device}
        metrics = train(TrainConfig(features=index, runs=runs, seed=seed, **settings, **ROWS[name])).metrics
        scores = metrics["scores"]["vtf"]
        numbers = {
            "F1": scores["average"]["f1"],
            "mA": scores["average"]["mA"],
            "best constant": metrics["best_constant"]["vtf"]["average"]["f1"],
            "shuffled": metrics["shuffled"]["vtf"]["average"]["f1"]["mean"],
            **{f"{group} F1": scores["groups"][group]["f1"] for group in WITHIN_TRACKLET},
            **{
                f"{group} constant": metrics["best_constant"]["vtf"]["groups"][group]["f1"]
                for group in WITHIN_TRACKLET
            },
        }
        for column, number in numbers.items():
            found[column].append(round(100 * number, 2))
        print(f"{name}, seed {seed}: F1 {found['F1'][-1]} in {time.monotonic() - started:.0f} s", flush=True)
    return found


def print_table(found: dict[str, dict[str, list[float]]]) -> None:
    """Print mean and standard deviation between seeds, in percent."""
    print("\nvtf protocol, percent: mean ± standard deviation between seeds")
    print(f"{'':22}" + "".join(f"{column:>17}" for column in COLUMNS))
    for name, columns in found.items():
        cells = (f"{statistics.mean(values):.2f} ± {statistics.pstdev(values):.2f}" for values in columns.values())
        print(f"{name:22}" + "".join(f"{cell:>17}" for cell in cells))


if __name__ == "__main__":
    main()
