"""`vpar demo`: the whole path on a procedural dataset, without a download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.pictures.figure import FigureConfig, draw_figure
from vpar_cache.reporting.report import Report, report
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import TrainResult, train_model


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Settings of the demo. Everything goes under `out`."""

    out: Path = Path("demo")
    weights: str = "random:0"
    """No download; the fusion model learns from random features too, only less."""
    frames: int = 1
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


def run_demo(config: DemoConfig, *, say: Say = log, stop: Stop = never) -> DemoResult:
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
    extract(extraction, say=say, stop=stop)
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
        stop,
    )
    picture = config.out / "predictions.png"
    say(f"4/4 picture: {picture}")
    draw_figure(FigureConfig(run=run.folder, runs=runs, dataset="demo", root=root, out=picture, seed=config.seed))
    return DemoResult(index, run, report([run.folder], runs), picture)
