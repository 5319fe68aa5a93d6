"""Find what a user names as a run: a run folder, its name, an exported folder, or one on the model hub."""

from __future__ import annotations

import os
from pathlib import Path

from vpar_cache.base.callbacks import Say, log
from vpar_cache.base.files import is_folder
from vpar_cache.errors import CacheError, UserError
from vpar_cache.models.build import ModelBuilder
from vpar_cache.runs.finished import find_runs
from vpar_cache.runs.load import LoadedRun, load_run
from vpar_cache.sharing.config import CONFIG
from vpar_cache.sharing.load import load_exported


def open_run(
    run: str | os.PathLike[str],
    runs: Path | None = None,
    *,
    model: ModelBuilder | None = None,
    offline: bool = False,
    say: Say = log,
) -> LoadedRun:
    """Return the model of a run, and say which one it is.

    `run`: a run folder, the name of one under `runs`, a folder of `vpar export`, or as text owner/name of one on
    the model hub. What is on this machine comes first. `model`: as in runs.load.load_run. `offline`: never ask the
    hub. Raises CacheError for what is not there, damaged or changed.
    """
    folder = _local(run, runs)
    if folder is None and isinstance(run, str):
        from vpar_cache.sharing.hub import hub_folder, is_hub_name  # what asks the hub is imported last

        if is_hub_name(run):
            folder = hub_folder(run, offline)
            say(f"run: {run} of the model hub, revision {folder.name[:12]}")
            return _load_exported(folder, model)  # other files of the repository, as a run.json, count for nothing
    if folder is None:
        if runs is None:
            raise CacheError(
                f"run {os.fspath(run)!r}: no such folder; give a run folder, or OWNER/NAME on the model hub"
            )
        (folder,) = find_runs([Path(run)], runs)  # raises, with the names that there are
    say(f"run: {folder}{'' if _is_run(folder) else ', which was exported'}")
    return _load(folder, model)


def _local(run: str | os.PathLike[str], runs: Path | None) -> Path | None:
    """Return the folder that a user means: the first that holds a run, else the first; None without any."""
    places = [Path(run), *([runs / run] if runs is not None else [])]
    folders = [place for place in places if is_folder(place)]
    holding = (folder for folder in folders if _is_run(folder) or os.path.lexists(folder / CONFIG))
    return next(holding, folders[0] if folders else None)


def _is_run(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in ("run.json", "metrics.json"))


def _load(folder: Path, model: ModelBuilder | None) -> LoadedRun:
    return load_run(folder, model) if _is_run(folder) else _load_exported(folder, model)


def _load_exported(folder: Path, model: ModelBuilder | None) -> LoadedRun:
    if model is not None:
        raise UserError(f"model: {folder} is an exported run of a built-in model; leave `model` out")
    return load_exported(folder)
