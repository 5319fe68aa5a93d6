"""`vpar demo`: the whole path on a procedural dataset, without a download."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vpar_cache.config import ExtractConfig
from vpar_cache.extract import extract_features
from vpar_cache.figures import Case, draw_cases
from vpar_cache.frames import decode_image
from vpar_cache.metrics import VTF_THRESHOLD
from vpar_cache.report import Report, build_report
from vpar_cache.tracklets.loaders import load_dataset
from vpar_cache.tracklets.tracklet import Tracklet
from vpar_cache.train import TrainResult, train_model
from vpar_cache.train_config import TrainConfig

NUM_PICTURED = 4


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Settings of the demo. Everything goes under `out`."""

    out: Path = Path("demo")
    weights: str = "random:0"
    """No download; the fusion model learns from random features too, only less."""
    frames: int = 2
    epochs: int = 30
    lr: float = 3e-4
    """Below the paper's 1e-3, which was chosen for fifty times as many tracklets."""
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class DemoResult:
    """What the demo made."""

    index: Path
    run: TrainResult
    report: Report
    picture: Path


def run_demo(config: DemoConfig, say: Callable[[str], None] = lambda message: None) -> DemoResult:
    """Render, extract, train, report, draw. A second call goes on from what is there."""
    root, index, runs = config.out / "tracklets", config.out / "cache" / "demo.h5", config.out / "runs"
    say(f"1/4 tracklets: {root} (drawn by the program, no real people)")
    extraction = ExtractConfig(
        dataset="demo",
        root=root,
        out=index,
        weights=config.weights,
        frames=config.frames,
        devices=(config.device,),
        seed=config.seed,
    )
    say(f"2/4 features: {index}")
    extract_features(extraction, say)
    say(f"3/4 fusion model: {runs}")
    run = train_model(
        TrainConfig(
            features=index,
            runs=runs,
            epochs=config.epochs,
            lr=config.lr,
            device=config.device,
            seed=config.seed,
            overwrite=True,
        ),
        "vpar demo",
        say,
    )
    picture = config.out / "predictions.png"
    say(f"4/4 picture: {picture}")
    _draw(config, root, run, picture)
    return DemoResult(index, run, build_report([run.folder], runs), picture)


def _draw(config: DemoConfig, root: Path, run: TrainResult, picture: Path) -> None:
    """Some test tracklets, evenly spread, with what the run says of them."""
    dataset = load_dataset("demo", root, None, "mars", config.seed)
    tracklets = {t.tracklet_id: t for t in dataset.tracklets}
    table = pq.read_table(run.folder / "predictions.parquet").to_pylist()
    test = [row for row in table if row["split"] == "test"]
    chosen = [test[(2 * i + 1) * len(test) // (2 * NUM_PICTURED)] for i in range(NUM_PICTURED)]
    cases = [
        Case(
            row["tracklet_id"],
            _frames(tracklets[row["tracklet_id"]]),
            np.array(row["probabilities"], np.float32),
            np.array(row["labels"], np.uint8),
        )
        for row in chosen
    ]
    title = "Procedural test tracklets: prediction, and the truth where it is wrong"
    if run.random_weights:
        title += " (random CLIP weights)"
    draw_cases(cases, dataset.schema, VTF_THRESHOLD, title, picture)


def _frames(tracklet: Tracklet) -> Sequence[NDArray[np.uint8]]:
    """Three frames, evenly spread, each (H, W, 3)."""
    names = [tracklet.frames[(2 * i + 1) * len(tracklet.frames) // 6] for i in range(3)]
    return [np.asarray(decode_image((tracklet.folder / name).read_bytes())) for name in names]
