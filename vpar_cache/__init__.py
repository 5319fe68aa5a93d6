"""Video-based pedestrian attribute recognition on cached CLIP features.

The public API, loaded on first use, so that importing the package stays cheap (no torch):

    extract(config)             stage 1: tracklets to a feature cache
    open_features(path)         open a verified cache: its rows are read when they are asked for
    train_model(config)         stage 2: train and evaluate a model on a cache
    report(runs)                tables of runs beside the published rows
    score(path)                 both metric protocols on anybody's predictions

`vpar_cache.extraction.extract` is the module, `vpar_cache.extract` the function.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_API = {
    "extract": "vpar_cache.extraction.extract",
    "open_features": "vpar_cache.cache.features",
    "report": "vpar_cache.reporting.report",
    "score": "vpar_cache.reporting.score",
    "train_model": "vpar_cache.training.train",
}

__all__ = ["__version__", *_API]


def __getattr__(name: str) -> Any:
    if name in _API:
        return getattr(import_module(_API[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
