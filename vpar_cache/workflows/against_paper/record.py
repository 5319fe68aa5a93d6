"""The file that can be sent: settings, versions, timings, scores. No path, no name of a user or of a machine."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from vpar_cache import __version__
from vpar_cache.base.cores import usable_cores
from vpar_cache.cache.index import Index
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.runs.finished import FinishedRun
from vpar_cache.workflows.against_paper.compare import Comparison
from vpar_cache.workflows.doctor.machine import driver_version, find_cards

FORMAT = 1
COMMAND = "vpar benchmark --against-paper"
_PLAIN_WEIGHTS = re.compile(r"random:\d{1,18}|[A-Za-z0-9_]{1,60}")
_KNOWN_FILE = re.compile(r"\(([A-Za-z0-9_]{1,60})\)")
_FILE = "a file"


def record_text(
    found: Comparison, runs: Sequence[FinishedRun], caches: Sequence[Index], failed: Sequence[str], is_file: bool
) -> str:
    """Return the JSON text. `failed`: titles of parts, see plan.title_of. `is_file`: weights came from a file."""
    record = {
        "format": FORMAT,
        "command": COMMAND,
        "dataset": found.dataset,
        "is_reproduction": not (found.why_not or failed),
        "why_not": list(found.why_not),
        "failed": list(failed),
        "random_weights": found.random_weights,
        "vpar_cache": __version__,
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "cores": usable_cores(),
            "cards": find_cards(),
            "driver": driver_version(),
        },
        "comparison": [
            {
                **{name: value for name, value in asdict(row).items() if name != "values"},
                "values": [_rounded(value) for value in row.values],
                "mean": _rounded(row.mean),
                "deviation": _rounded(row.deviation),
                "difference": _rounded(row.difference),
                "best_constant": _rounded(row.best_constant),
            }
            for row in found.rows
        ],
        "caches": [_cache(index, is_file) for index in caches],
        "runs": [_run(run) for run in runs],
    }
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def weights_shown(name: str, is_file: bool) -> str:
    """Return the name of weights without that of a file, which may tell whose it is."""
    if not is_file and _PLAIN_WEIGHTS.fullmatch(name):
        return name
    known = _KNOWN_FILE.search(name)
    return f"{_FILE} ({known[1]})" if known else _FILE


def _cache(index: Index, is_file: bool) -> dict[str, Any]:
    """Return what the features are: their settings name no path."""
    return {
        "name": index.path.stem,
        "tracklets": index.count_splits(),
        "weights": weights_shown(index.weights, is_file),
        "settings": index.visual_config,
        "text": {name: value for name, value in index.text_config.items() if "prompts" not in name},
        "fingerprint": index.visual_fingerprint,
        "environments": index.environments,
    }


def _run(run: FinishedRun) -> dict[str, Any]:
    """Return the settings, timings and scores of a run: fractions, as in its metrics.json."""
    return {
        "model": run.model,
        "recipe": run.recipe,
        "cache": PurePath(run.features[0]).stem,
        "settings": run.settings,
        "versions": run.versions,
        "device": run.device,
        "seconds": _rounded(run.seconds),
        "epoch_seconds_per_tracklet": run.epoch_seconds_per_tracklet,
        "encode_seconds_per_tracklet": run.encode_seconds_per_tracklet,
        "num_train": run.num_train,
        "num_test": run.num_tracklets,
        "scores": _scores(run.scores),
        "best_constant": _scores(run.best_constant),
        "shuffled": {
            protocol: {metric: _rounded(chance.mean) for metric, chance in luck.average.items()}
            for protocol, luck in run.shuffled.items()
        },
    }


def _scores(blocks: Mapping[str, ProtocolScores]) -> dict[str, Any]:
    return {
        protocol: {
            "average": {metric: _rounded(value) for metric, value in block.average.items()},
            "groups": {
                group: {metric: _rounded(value) for metric, value in metrics.items()}
                for group, metrics in block.groups.items()
            },
        }
        for protocol, block in blocks.items()
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
