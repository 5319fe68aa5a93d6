"""The default name of a run: DATASET-MODEL-SEED-xxxxxx, six hex digits of its fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpar_cache.base.settings import fingerprint


def run_fingerprint(settings: Mapping[str, Any], seal: str) -> str:
    """Return the fingerprint of a run's settings and of every byte of its cache, which `seal` stands for."""
    return fingerprint({**settings, "features": seal})


def default_run_name(dataset: str, model: str, seed: int, run_fingerprint: str) -> str:
    """Return the name of a run that was given none."""
    return f"{dataset}-{model}-{seed}-{run_fingerprint[:6]}"
