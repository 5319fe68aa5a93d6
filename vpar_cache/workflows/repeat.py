"""`vpar train --from-run`: do a run again from its run.json, and compare the metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.cache.index import read_index
from vpar_cache.errors import CacheError
from vpar_cache.runs.scores import RunScores, find_runs, read_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import TrainResult, train_model

_SHOWN = 5


@dataclass(frozen=True)
class Repetition:
    """The new run, and which numbers of metrics.json differ from the old one's, as `where: old -> new`."""

    run: TrainResult
    differences: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """One line."""
        if not self.differences:
            return "metrics identical"
        return f"{len(self.differences)} values of metrics.json differ ({'; '.join(self.differences[:_SHOWN])})"


def repeat_run(
    run: Path,
    *,
    features: Path | None = None,
    name: str | None = None,
    runs: Path = Path("cache/runs"),
    overwrite: bool = False,
    device: str = "auto",
    command: str = "",
    say: Say = log,
    stop: Stop = never,
) -> Repetition:
    """Train again with the settings of `run` on the same features, into NAME-repeat.

    `features`: where the cache is now; None: where it was. CacheError for other features, or a run.json that does
    not say what it must.
    """
    (folder,) = find_runs([run], runs)
    old_run = read_run(folder)
    index = features or Path(old_run.features)
    seal = read_index(index).seal
    if seal != old_run.features_seal:
        raise CacheError(
            f"{index} is not the cache that {folder} was trained on (its seal is {seal[:12]}..., not "
            f"{old_run.features_seal[:12]}...); give that one with --features"
        )
    config = _config(old_run, features=index, runs=runs, name=name or f"{folder.name}-repeat",
                     overwrite=overwrite, device=device)  # fmt: skip
    result = train_model(config, command, say, stop)
    old, new = (json.loads((path / "metrics.json").read_text("utf-8")) for path in (folder, result.folder))
    return Repetition(result, tuple(_differences(old, new, "")))


def _config(run: RunScores, **places: Any) -> TrainConfig:
    known = {field.name for field in fields(TrainConfig)} - places.keys()
    if not run.settings.keys() <= known:
        raise CacheError(f"{run.folder}/run.json: 'settings' do not fit this version; train the run again")
    try:
        return TrainConfig(**run.settings, **places)
    except TypeError as error:
        raise CacheError(f"{run.folder}/run.json: 'settings' do not fit ({error}); train the run again") from error


def _differences(old: Any, new: Any, where: str) -> Iterator[str]:
    """Leaves of two JSON trees that are not equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif old != new:
        yield f"{where}: {short_repr(old)} -> {short_repr(new)}"
