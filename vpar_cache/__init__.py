"""Video-based pedestrian attribute recognition on cached CLIP features.

    extract(config)         stage 1: encode tracklets once, into a feature cache
    open_features(path)     open a cache; its seals are checked, rows are read when asked for
    train(config)           stage 2: train and evaluate a model on a cache, into a run folder
    load_run(run)           a finished run, to predict from pictures, folders and features
    evaluate_run(run, path) scores of a run on another cache, without training
    report(runs)            tables of runs beside the published rows
    score(path, schema)     scores of a file of predictions

docs/python.md shows each. Names are loaded on first use: importing the package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vpar_cache.attributes.built_in import load_schema
    from vpar_cache.attributes.schema import Schema
    from vpar_cache.cache.features import Features, open_features
    from vpar_cache.datasets.tracklet import Dataset, Tracklet
    from vpar_cache.extraction.config import ExtractConfig
    from vpar_cache.extraction.extract import extract
    from vpar_cache.models.inputs import ModelInputs
    from vpar_cache.prediction.predictor import Predictor, load_run
    from vpar_cache.reporting.report import report
    from vpar_cache.reporting.score import score
    from vpar_cache.training.config import TrainConfig
    from vpar_cache.training.train import train
    from vpar_cache.training.watching import Epoch
    from vpar_cache.workflows.evaluate import evaluate_run

__version__ = "0.1.0"

_API = {
    "Dataset": "vpar_cache.datasets.tracklet",
    "Epoch": "vpar_cache.training.watching",
    "ExtractConfig": "vpar_cache.extraction.config",
    "Features": "vpar_cache.cache.features",
    "ModelInputs": "vpar_cache.models.inputs",
    "Predictor": "vpar_cache.prediction.predictor",
    "Schema": "vpar_cache.attributes.schema",
    "TrainConfig": "vpar_cache.training.config",
    "Tracklet": "vpar_cache.datasets.tracklet",
    "evaluate_run": "vpar_cache.workflows.evaluate",
    "extract": "vpar_cache.extraction.extract",
    "load_run": "vpar_cache.prediction.predictor",
    "load_schema": "vpar_cache.attributes.built_in",
    "open_features": "vpar_cache.cache.features",
    "report": "vpar_cache.reporting.report",
    "score": "vpar_cache.reporting.score",
    "train": "vpar_cache.training.train",
}
"""Public name -> its module."""

__all__ = [
    "Dataset",
    "Epoch",
    "ExtractConfig",
    "Features",
    "ModelInputs",
    "Predictor",
    "Schema",
    "Tracklet",
    "TrainConfig",
    "__version__",
    "evaluate_run",
    "extract",
    "load_run",
    "load_schema",
    "open_features",
    "report",
    "score",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_API[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
