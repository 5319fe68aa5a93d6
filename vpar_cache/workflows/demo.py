"""`vpar demo`: draw a small dataset, extract, train, report, predict a drawn video. Nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.base.checks import check_new_file
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.metrics.verdict import verdict
from vpar_cache.pictures.figure import FigureConfig, draw_figure
from vpar_cache.reporting.report import Report, report
from vpar_cache.runs.finished import FinishedRun, read_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import TrainResult, train
from vpar_cache.workflows.demo_video import DemoFiles, RightAnswers, predict_drawn_video


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Settings of the demo. All files go into `out`."""

    out: Path = Path("demo")
    weights: str = "random:0"
    """No download; the fusion model learns from random features too, only less."""
    frames: int = 1
    epochs: int = 30
    lr: float = 3e-4
    """Less than the paper's 1e-3, which was chosen for fifty times as many tracklets."""
    device: str = "auto"
    seed: int = 0
    overwrite: bool = False
    """Replace the picture, the table, the page and the video of an earlier demo."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", Path(self.out))
        for path in (self.picture, *vars(self.people).values()):
            check_new_file("--out", path, self.overwrite)

    @property
    def picture(self) -> Path:
        """The picture to draw."""
        return self.out / "predictions.png"

    @property
    def people(self) -> DemoFiles:
        """The files about the people of the drawn video."""
        return DemoFiles.below(self.out)


@dataclass(frozen=True)
class DemoResult:
    """The files and tables of the demo."""

    index: Path
    run: TrainResult
    report: Report
    picture: Path
    people: DemoFiles
    right: RightAnswers
    """About the people of the drawn video."""
    verdict: str
    """What the scores say, in words."""


def run_demo(config: DemoConfig, *, say: Say = log, stop: Stop = never) -> DemoResult:
    """Draw tracklets, extract, train, report, draw a picture, and predict the people of a drawn video.

    Another call reuses finished features.
    """
    root, index, runs = config.out / "tracklets", config.out / "cache" / "demo.h5", config.out / "runs"
    training = TrainConfig(
        features=index,
        runs=runs,
        epochs=config.epochs,
        lr=config.lr,
        device=config.device,
        seed=config.seed,
        overwrite=True,  # the same settings on the same features give the same run
    )
    say(f"1/5 tracklets: {root} (drawn by the program, no real people)")
    extraction = ExtractConfig(
        dataset="demo",
        root=root,
        out=index,
        weights=config.weights,
        frames=config.frames,
        devices=(config.device,),
        seed=config.seed,
    )
    say(f"2/5 features: {index}")
    extract(extraction, say=say, stop=stop)
    say(f"3/5 fusion model: {runs}")
    run = train(training, command="vpar demo", say=say, stop=stop)
    say(f"4/5 picture: {config.picture}")
    draw_figure(
        FigureConfig(
            run=run.folder,
            runs=runs,
            dataset="demo",
            root=root,
            out=config.picture,
            overwrite=config.overwrite,
            seed=config.seed,
        )
    )
    say(f"5/5 people of a drawn video: {config.people.page}")
    right = predict_drawn_video(
        run.folder, index, config.out, device=config.device, seed=config.seed, say=say, stop=stop
    )
    found = report([run.folder], runs)
    return DemoResult(index, run, found, config.picture, config.people, right, _verdict(read_run(run.folder)))


def _verdict(run: FinishedRun) -> str:
    mean_accuracy = 100 * run.scores["vtf"].average["mA"]
    return (
        f"On {run.num_tracklets} drawn tracklets of {run.num_people} people that it was not trained on, its "
        f"{verdict(run)} mA is {mean_accuracy:.2f}; every constant has 50."
    )
