"""Video-based pedestrian attribute recognition on cached CLIP features.

The public API, loaded on first use, so that importing the package stays cheap (no torch):

    extract(config)        stage 1: tracklets to a feature cache
    open_features(path)    read a cache: verified, memory-mapped
    train(config)          stage 2: train and evaluate a model on a cache
    report(runs)           tables of runs beside the published rows
    score_file(path)       both metric protocols on anybody's predictions
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_API = {
    "extract": "vpar_cache.extract",
    "open_features": "vpar_cache.features",
    "train": "vpar_cache.train",
    "report": "vpar_cache.report",
    "score_file": "vpar_cache.score",
}

__all__ = ["__version__", *sorted(_API)]


def __getattr__(name: str) -> Any:
    if name in _API:
        return getattr(import_module(_API[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
