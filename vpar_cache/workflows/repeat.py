"""`vpar train --from-run`: train a run again from its run.json, and compare the metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.cache.index import read_index
from vpar_cache.cache.joined import joined_seal
from vpar_cache.errors import CacheError, UserError
from vpar_cache.models.systems import CUSTOM
from vpar_cache.runs.finished import FinishedRun, find_runs, read_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import TrainResult, train

_SHOWN = 5


@dataclass(frozen=True)
class Repetition:
    """The new run, and the numbers of metrics.json that differ from the old run's, as `where: old -> new`."""

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
    features: Sequence[Path] = (),
    name: str | None = None,
    runs: Path = Path("cache/runs"),
    overwrite: bool = False,
    device: str = "auto",
    folds: Path | None = None,
    command: str = "",
    say: Say = log,
    stop: Stop = never,
) -> Repetition:
    """Train again with the settings of `run` on the same features, into NAME-repeat, and compare.

    `features`: where the caches are now, in the order of the run; none: where they were. `folds`: the fold file,
    for a run that has one. Raises CacheError for other features, or for a run.json that lacks a field; UserError
    for another fold file, or for a run of the caller's own model.
    """
    (folder,) = find_runs([run], runs)
    old_run = read_run(folder)
    indexes = tuple(features) or old_run.caches()
    found, expected = joined_seal([read_index(index) for index in indexes]), old_run.features_seal
    if found != expected:
        raise CacheError(
            f"--features: got {', '.join(map(str, indexes))} with seal {found[:12]}; expected the cache "
            f"that {folder} was trained on, with seal {expected[:12]}"
        )
    config = _config(
        old_run,
        features=indexes,
        runs=runs,
        name=name or f"{folder.name}-repeat",
        overwrite=overwrite,
        device=device,
        folds=folds,
    )
    result = train(config, command=command, say=say, stop=stop)
    old, new = (json.loads((path / "metrics.json").read_text("utf-8")) for path in (folder, result.folder))
    return Repetition(result, tuple(_differences(old, new, "")))


def _config(run: FinishedRun, **places: Any) -> TrainConfig:
    """Return the settings of the run, with other places."""
    if run.model == CUSTOM:
        raise UserError(
            f"--from-run: {run.folder} is a run of your own model, which only Python can train: "
            "vpar_cache.train(config, model=...)"
        )
    known = {field.name for field in fields(TrainConfig)} - places.keys()
    unknown = sorted(run.settings.keys() - known)
    try:
        if unknown:
            raise TypeError(f"unknown setting {unknown[0][:60]!r}")
        return TrainConfig(**run.settings, **places)
    except TypeError as error:
        raise CacheError(f"{run.folder}/run.json: settings: {error}; train the run again") from error


def _differences(old: Any, new: Any, where: str) -> Iterator[str]:
    """Yield the leaves of two JSON trees that are not equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif old != new:
        yield f"{where}: {short_repr(old)} -> {short_repr(new)}"
