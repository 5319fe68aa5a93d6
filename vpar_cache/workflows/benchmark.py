"""`vpar benchmark`: every system of the paper's tables on one dataset, each with several seeds.

Extracts missing caches, trains missing runs, and averages. After an interrupt the same command continues.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.base.checks import check_choice, check_whole
from vpar_cache.cache.format import follow_link
from vpar_cache.errors import DataError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors.ray_session import ray_session
from vpar_cache.extraction.extract import extract
from vpar_cache.extraction.held_cache import refuse_foreign
from vpar_cache.metrics.scoring import protocols_of
from vpar_cache.models.systems import SYSTEMS
from vpar_cache.rendering.tables import (
    BASELINE_NOTES,
    MISSING,
    PROTOCOL_NOTES,
    Notes,
    Number,
    Part,
    Table,
    cell,
    grid,
)
from vpar_cache.reporting.numbers import AVERAGES
from vpar_cache.reporting.report import report
from vpar_cache.reporting.seed_means import MEASURES, SeedMean, seed_means
from vpar_cache.runs.finished import read_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import planned_folder, train
from vpar_cache.workflows.ray_tasks import DEATHS, check_executor, completed, device_of_workers, for_worker

BACKBONES = {
    "clip": "open_clip:ViT-B-16-quickgelu",
    "vit": "timm:vit_base_patch16_224",
    "resnet50": "timm:resnet50",
}
"""The paper's backbones, by the name of their caches."""
ROWS = {
    "prior": "clip",
    "zero-shot": "clip",
    "3dcnn": "resnet50",
    "cnn-rnn": "resnet50",
    "videopar-image": "resnet50",
    "videopar": "resnet50",
    "vtb": "vit",
    "linear": "clip",
    "vtf": "clip",
}
"""Each system and its backbone, in the order of the paper's Table 1."""
_MEANS_NOTE = (
    "mean ± standard deviation between seeds, on one test split; a system without random choices has one seed. "
    "published: copied from the paper, not re-run here."
)


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Systems to compare, and the data to compare them on."""

    dataset: str
    root: Path
    out: Path = Path("cache")
    """Caches go to out/DATASET-clip.h5 and so on, runs to out/benchmark-DATASET."""
    models: tuple[str, ...] = tuple(ROWS)
    seeds: int = 3
    """Number of runs of each trained system, with seeds 0 to seeds - 1."""
    extract: Mapping[str, Any]
    """Further fields of ExtractConfig, the same for all backbones."""
    train: Mapping[str, Any]
    """Further fields of TrainConfig, the same for all systems."""
    backbones: Mapping[str, str]
    """BACKBONES, or smaller ones under the same names."""
    executor: str = "local"
    """local: in this process, one after the other; ray: shards and trainings side by side on a Ray cluster."""
    ray_address: str | None = None
    workers_per_node: int | None = None
    """As in ExtractConfig."""

    def __post_init__(self) -> None:
        if not self.models:
            raise UserError("--models: got none; expected one or more. Leave it out to compare all")
        for model in self.models:
            check_choice("--models", model, tuple(ROWS))
        check_whole("--seeds", self.seeds, 1, 1000)
        check_executor(self.executor, self.ray_address)
        object.__setattr__(self, "out", Path(self.out))
        for folder in (self.out, self.runs):
            if folder.exists() and not folder.is_dir():
                raise UserError(
                    f"--out: {str(folder)!r} is a file; expected a folder. Choose another --out, or move the file "
                    "away"
                )

    @property
    def runs(self) -> Path:
        """The folder for run folders."""
        return self.out / f"benchmark-{self.dataset}"


@dataclass(frozen=True)
class BenchmarkResult:
    """One row per system. Renders like a report."""

    dataset: str
    means: tuple[SeedMean, ...]
    others: tuple[Number, ...]
    """Averages of the best constant, and of the published rows where the test split is the paper's."""
    runs: tuple[Path, ...]
    unit: str = "tracklet"
    """What the rows are: tracklets or images."""
    lost: tuple[str, ...] = ()
    """Trainings that were given up, since their workers died."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """A table for each protocol, and notes; the long table has means and deviations of the same numbers."""
        tables = [self._table(protocol, MEASURES[protocol]) for protocol in protocols_of(self.unit)]
        means = (number for mean in self.means for number in mean.numbers(self.dataset))
        notes = Notes((*PROTOCOL_NOTES, *BASELINE_NOTES, _MEANS_NOTE))
        return (Part(self.dataset, (*self.others, *means), (*tables, notes)),)

    def _table(self, protocol: str, metrics: Mapping[str, str]) -> Table:
        others = grid(
            (n for n in self.others if n.protocol == protocol), lambda n: (n.system, n.source), lambda n: n.metric
        )
        rows = [
            (
                f"{name} (published)" if source == "published" else name,
                MISSING,
                *(cell(row.get(metric)) for metric in metrics),
                MISSING,
            )
            for (name, source), row in others.items()
        ]
        rows += [(mean.label, str(len(mean.runs)), *mean.cells(protocol)) for mean in self.means]
        header = ("System", "Seeds", *metrics.values(), "F1 shuffled")
        title = f"{self.dataset}: averages under {protocol}, in percent"
        return Table(title, header, tuple(rows), systems_in="rows")


def run_benchmark(config: BenchmarkConfig, *, say: Say = log, stop: Stop = never) -> BenchmarkResult:
    """Extract, train and average. Raises what extraction and training raise; finished caches and runs are kept."""
    wanted = [(model, ROWS[model]) for model in ROWS if model in config.models]
    extractions = [extraction_of(config, name) for name in dict.fromkeys(name for _, name in wanted)]
    trainings = list(_trainings(config, wanted))  # all settings are checked before hours of work
    for extraction in extractions:
        refuse_foreign(follow_link(Path(extraction.out)))  # and all caches that are to be written
    once = each_once(say)
    for extraction in extractions:
        say(f"features of {extraction.backbone}")
        extract(extraction, say=once, stop=stop)
    folders, lost = _train_all(trainings, config, once, stop)
    runs = [read_run(folder) for folder in folders]
    if not runs:
        raise DataError(f"--executor ray: every worker died ({', '.join(lost)}). See the logs of Ray")
    return BenchmarkResult(
        runs[0].place,
        tuple(seed_means(runs)),
        _others(folders[:1], config.runs),
        tuple(folders),
        runs[0].unit,
        tuple(lost),
    )


def index_of(config: BenchmarkConfig, backbone: str) -> Path:
    """Return where the cache of a backbone goes."""
    return config.out / f"{config.dataset}-{backbone}.h5"


def extraction_of(config: BenchmarkConfig, name: str) -> ExtractConfig:
    """Return the settings of the cache of one backbone: the same for any --models, so that one can be added."""
    keep = any(SYSTEMS[model].reads == "frame_tokens" for model, backbone in ROWS.items() if backbone == name)
    return ExtractConfig(
        dataset=config.dataset,
        root=config.root,
        out=index_of(config, name),
        backbone=config.backbones[name],
        keep_frames=keep,
        executor=config.executor,
        ray_address=config.ray_address,
        workers_per_node=config.workers_per_node,
        **config.extract,
    )


def _trainings(config: BenchmarkConfig, wanted: Sequence[tuple[str, str]]) -> Iterator[TrainConfig]:
    """Yield the settings of every run."""
    for model, backbone in wanted:
        for seed in range(config.seeds if SYSTEMS[model].is_trained else 1):
            given = {"recipe": "strict", **config.train, "model": model, "seed": seed}
            yield TrainConfig.of_recipe(**given, features=index_of(config, backbone), runs=config.runs)


def each_once(say: Say) -> Say:
    """Return a `say` that leaves out a line that it said before: runs of one cache have many in common."""
    said: set[str] = set()

    def once(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return once


def _train_all(
    trainings: Sequence[TrainConfig], config: BenchmarkConfig, say: Say, stop: Stop
) -> tuple[list[Path], list[str]]:
    """Return the folders of the runs in the order of `trainings`, and the names of those that were given up."""
    if config.executor == "local":
        return [_train(training, say, stop) for training in trainings], []
    folders: dict[int, Path] = {}
    with ray_session(config.ray_address) as ray:
        device = device_of_workers(ray, str(config.train.get("device", "auto")))
        tasks = ((number, for_worker(training, device)) for number, training in enumerate(trainings))
        for (number, training), result in completed(ray, _train_on_worker, tasks, device=device, stop=stop):
            what = _title(training)
            if result is None:
                say(f"{what}: left out, since its worker died {DEATHS} times")
                continue
            folders[number], lines = result
            for line in (*lines, f"{what}: done, {len(folders)} of {len(trainings)}"):
                say(line)
    lost = [_title(training) for number, training in enumerate(trainings) if number not in folders]
    return [folders[number] for number in sorted(folders)], lost


def _train_on_worker(task: tuple[int, TrainConfig]) -> tuple[Path, list[str]]:
    """Return the run's folder, and what there is to say."""
    lines: list[str] = []
    return _train(task[1], lines.append, never), lines


def _title(settings: TrainConfig) -> str:
    return f"{settings.model}, seed {settings.seed}"


def _train(settings: TrainConfig, say: Say, stop: Stop) -> Path:
    """Return the run's folder. A finished run is kept, an interrupted one is continued."""
    folder = planned_folder(settings)
    if (folder / "metrics.json").is_file():
        return folder
    say(_title(settings))
    return train(settings, command="vpar benchmark", say=say, stop=stop).folder


def _others(folders: list[Path], runs: Path) -> tuple[Number, ...]:
    """Return the averages of what the report shows beside these runs."""
    (section,) = report(folders, runs).sections
    return tuple(n for n in section.numbers if n.source in ("published", "constant") and n.table == AVERAGES)
