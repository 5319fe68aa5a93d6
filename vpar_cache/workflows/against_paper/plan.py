"""What `vpar benchmark --against-paper` extracts and trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vpar_cache.base.checks import check_choice
from vpar_cache.errors import UserError
from vpar_cache.extraction.config import PRESETS, ExtractConfig
from vpar_cache.models.systems import SYSTEMS
from vpar_cache.reporting.published import published_numbers
from vpar_cache.training.config import TrainConfig
from vpar_cache.workflows.benchmark import ROWS, BenchmarkConfig, extraction_of, index_of

MODELS = ("linear", "vtf")
"""Trained where --models names none: both rows of the paper that need no weights but CLIP's."""
REFERENCE_MODEL, REFERENCE = "vtf", "reference"
"""The model that the authors' code trains, and the name of its recipe, of its preset and of its cache."""


@dataclass(frozen=True)
class Plan:
    """Caches to write, then runs to train."""

    extractions: tuple[ExtractConfig, ...]
    trainings: tuple[TrainConfig, ...]


def make_plan(config: BenchmarkConfig) -> Plan:
    """Return what to extract and train; all settings are checked. Raises UserError for one that does not fit."""
    datasets = tuple(name.lower() for name in published_numbers())
    if config.dataset not in datasets:
        raise UserError(
            f"--against-paper: got --dataset {config.dataset!r}; expected one that the paper has figures for: "
            f"{', '.join(datasets)}. Leave --against-paper out for other data"
        )
    if config.executor != "local":
        raise UserError(
            f"--against-paper cannot be combined with --executor {config.executor}; leave one of them out"
        )
    for model in config.models:
        check_choice("--models", model, tuple(name for name in ROWS if SYSTEMS[name].paper_name))
    backbones = dict.fromkeys(ROWS[model] for model in ROWS if model in config.models)
    extractions = [extraction_of(config, backbone) for backbone in backbones]
    if REFERENCE_MODEL in config.models:
        extractions.append(_reference_extraction(config))
    return Plan(tuple(extractions), tuple(_trainings(config)))


def _reference_extraction(config: BenchmarkConfig) -> ExtractConfig:
    """Return the settings of the cache that holds features as the authors' code computes them."""
    preset = {**PRESETS[REFERENCE], "frames": config.extract.get("frames", PRESETS[REFERENCE]["frames"])}
    return replace(extraction_of(config, ROWS[REFERENCE_MODEL]), out=index_of(config, REFERENCE), **preset)


def _trainings(config: BenchmarkConfig) -> Iterator[TrainConfig]:
    """Yield each model by the recipe of the paper, and the paper's own model by that of its authors' code too."""
    given = {name: value for name, value in config.train.items() if name != "recipe"}
    for model in (model for model in ROWS if model in config.models):
        recipes = {"paper": index_of(config, ROWS[model])}
        if model == REFERENCE_MODEL:
            recipes[REFERENCE] = index_of(config, REFERENCE)
        for recipe, features in recipes.items():
            # The authors' settings of the block are fixed by their recipe.
            chosen = given if recipe == "paper" else {k: v for k, v in given.items() if k not in ("dim", "heads")}
            for seed in range(config.seeds):
                yield TrainConfig.of_recipe(
                    recipe, **chosen, model=model, seed=seed, features=features, runs=config.runs
                )


def title_of(part: ExtractConfig | TrainConfig) -> str:
    """Return the name of a part of the work, as messages and the file give it: without a path."""
    if isinstance(part, ExtractConfig):
        return f"features {part.out.stem}"
    return f"{part.model}, recipe {part.recipe}, seed {part.seed}"


def cache_of(training: TrainConfig) -> Path:
    """Return the index that a training reads."""
    (cache,) = training.caches
    return cache
