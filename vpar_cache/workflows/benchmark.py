"""`vpar benchmark`: every system of the paper's tables on one dataset, each with several seeds.

Extracts missing caches, trains missing runs, and averages. After an interrupt the same command continues.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.base.settings import check_at_least, check_choice
from vpar_cache.errors import UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract_features
from vpar_cache.models.systems import MODELS, SYSTEMS
from vpar_cache.rendering.tables import PROTOCOL_NOTES, Block, Notes, Table, percent
from vpar_cache.reporting.report import build_report
from vpar_cache.reporting.seed_means import MEASURES, SeedMean, seed_means
from vpar_cache.runs.scores import read_run
from vpar_cache.training.checkpoints import checkpoint_path
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import planned_folder, train

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

    def __post_init__(self) -> None:
        if not self.models:
            raise UserError("--models: got none; expected one or more. Leave it out to compare all")
        for model in self.models:
            check_choice("--models", model, MODELS)
        check_at_least("--seeds", self.seeds, 1)

    @property
    def runs(self) -> Path:
        """The folder for run folders."""
        return self.out / f"benchmark-{self.dataset}"


@dataclass(frozen=True)
class BenchmarkResult:
    """One row per system. Renders like a report."""

    dataset: str
    means: tuple[SeedMean, ...]
    published: tuple[tuple[str, tuple[str, ...]], ...]
    """Names and cells of the paper's rows, where the test split is the paper's."""
    runs: tuple[Path, ...]

    def blocks(self) -> list[Block]:
        """Return one table and its notes."""
        rows = [(name, "published", "–", *cells) for name, cells in self.published]
        rows += [(mean.label, "run", str(len(mean.runs)), *mean.cells()) for mean in self.means]
        header = ("System", "Source", "Seeds", *(column for column, _, _ in MEASURES))
        rules = frozenset({len(self.published) - 1}) if self.published else frozenset[int]()
        title = f"{self.dataset}: averages over groups, in percent"
        table = Table(title, header, tuple(rows), num_labels=2, rules=rules)
        return [table, Notes((*PROTOCOL_NOTES, _MEANS_NOTE))]

    def long_rows(self) -> list[dict[str, str]]:
        """Return the means, one row per number."""
        return [
            {
                "table": "1",
                "dataset": self.dataset,
                "system": mean.label,
                "source": f"mean of {len(mean.runs)} seeds",
                "protocol": protocol,
                "group": "average",
                "metric": metric,
                "value": percent(value),
            }
            for mean in self.means
            for (_, protocol, metric), value in zip(MEASURES, mean.means, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON, in percent."""
        systems = [
            {
                "system": mean.label,
                "runs": list(mean.runs),
                "mean": _percents(mean.means),
                "standard_deviation": None if mean.deviations is None else _percents(mean.deviations),
            }
            for mean in self.means
        ]
        return {"unit": "percent", "dataset": self.dataset, "systems": systems}


def _percents(values: tuple[float, ...]) -> dict[str, float]:
    return {column: round(100 * value, 2) for (column, _, _), value in zip(MEASURES, values, strict=True)}


def run_benchmark(config: BenchmarkConfig, say: Say = log, stop: Stop = never) -> BenchmarkResult:
    """Extract, train and average. Raises what extraction and training raise; finished caches and runs are kept."""
    wanted = [(model, ROWS[model]) for model in ROWS if model in config.models]
    caches = {}
    for name in dict.fromkeys(backbone for _, backbone in wanted):
        say(f"features of {config.backbones[name]}")
        keep = any(SYSTEMS[model].reads == "frame_tokens" for model, backbone in wanted if backbone == name)
        caches[name] = extract_features(
            ExtractConfig(
                dataset=config.dataset,
                root=config.root,
                out=config.out / f"{config.dataset}-{name}.h5",
                backbone=config.backbones[name],
                keep_frames=keep,
                **config.extract,
            ),
            say=say,
        ).index
    folders = []
    for model, backbone in wanted:
        for seed in range(config.seeds if SYSTEMS[model].is_trained else 1):
            folders.append(_train(config, caches[backbone], model, seed, say, stop))
    runs = [read_run(folder) for folder in folders]
    return BenchmarkResult(
        runs[0].place, tuple(seed_means(runs)), _published(folders[:1], config.runs), tuple(folders)
    )


def _train(config: BenchmarkConfig, features: Path, model: str, seed: int, say: Say, stop: Stop) -> Path:
    """Return the run's folder. A finished run is kept, an interrupted one is resumed."""
    given = {"protocol": "strict", **config.train, "model": model, "seed": seed}
    settings = TrainConfig.of_protocol(**given, features=features, runs=config.runs)
    folder = planned_folder(settings)
    if (folder / "metrics.json").is_file():
        return folder
    say(f"{model}, seed {seed}")
    begun = checkpoint_path(config.runs, folder.name).exists()
    return train(replace(settings, resume=begun), command="vpar benchmark", say=say, stop=stop).folder


def _published(folders: list[Path], runs: Path) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the paper's rows, where the report shows them beside these runs."""
    (section,) = build_report(folders, runs).sections
    rows = []
    for system in section.systems:
        if system.source == "published":
            cells = (
                percent(system.scores[protocol].average.get(metric) if protocol in system.scores else None)
                for _, protocol, metric in MEASURES
            )
            rows.append((system.name, tuple(cells)))
    return tuple(rows)
