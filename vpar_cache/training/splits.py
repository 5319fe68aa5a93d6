"""Choose the rows that train, the rows that select epoch and threshold, and the rows that test."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.callbacks import Say, log
from vpar_cache.cache.features import Features
from vpar_cache.cache.format import KEPT_DATASET
from vpar_cache.errors import DataError, UserError, count_of, counted
from vpar_cache.models.systems import SYSTEMS
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.folds import read_folds

MIN_PEOPLE = 5
"""With fewer train people nobody is held out: too few would be left to train or to select with."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Row numbers of a cache. The test rows select nothing."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    """Rows that choose epoch and thresholds, none of them in `train`; empty where nothing is chosen."""
    test: NDArray[np.int64]
    recipe: str
    """The recipe that was followed: strict falls back to paper when there are too few people."""


def choose_rows(features: Features, config: TrainConfig, say: Say = log) -> Rows:
    """Return the rows of each part, and say who chooses.

    strict: the user's fold chooses, else the cache's validation tracklets, else train people who are held out (who
    depends on --seed and --val-fraction alone). paper, reference: all train tracklets train, nothing is chosen.
    Raises DataError for an empty split or folds that do not fit, UserError for a fold that nobody is in.
    """
    unit = features.schema.unit
    train, given, test = (features.rows_of(split) for split in ("train", "validation", "test"))
    for name, rows in (("train", train), ("test", test)):
        if not len(rows):
            fix = "Extract again from data with both splits"
            if features.dataset == KEPT_DATASET:
                fix = "Give a label file with both splits: --labels"
            raise DataError(f"{features.where}: got no {name} {unit}; expected one or more. {fix}")
    nobody = np.empty(0, dtype=np.int64)
    is_trained = config.model not in SYSTEMS or SYSTEMS[config.model].is_trained
    if config.recipe != "strict" or not is_trained:
        recipe = config.recipe if config.recipe != "strict" else "paper"
        if len(given):
            not_used = counted(len(given), f"validation {unit} is", f"validation {unit}s are")
            say(f"{not_used} not used: nothing is chosen")
        return Rows(train, nobody, test, recipe)
    if config.folds is not None:
        chosen = _rows_of_fold(features, train, config.folds, config.fold)  # (n_train,)
        kind = f"validation {unit}"
        are = counted(len(given), f"{kind} of the cache is", f"{kind}s of the cache are")
        left_out = f"; {are} left out" if len(given) else ""
        say(f"fold {config.fold} of {config.folds}: {_who(features, train[chosen], 'train')}{left_out}")
    elif len(given):
        say(_who(features, given, "validation"))
        return Rows(train, given, test, "strict")
    else:
        people = np.unique(features.person_ids[train])
        if len(people) < MIN_PEOPLE:
            one, many = ("person", "people") if features.people_known else (unit, f"{unit}s")
            say(
                f"{counted(len(people), f'train {one} is', f'train {many} are')} too few to hold some out (at "
                f"least {MIN_PEOPLE}): continuing with --recipe paper, the last epoch and threshold 0.45"
            )
            return Rows(train, nobody, test, "paper")
        count = min(max(1, math.floor(config.val_fraction * len(people) + 0.5)), len(people) - 1)
        random = np.random.Generator(np.random.PCG64([config.seed, 1]))  # not the generator of the batches' order
        chosen = np.isin(
            features.person_ids[train], random.choice(people, size=count, replace=False)
        )  # (n_train,)
        why = "" if features.people_known else f"; people are not known, so {unit}s were held out"
        say(_who(features, train[chosen], "held-out train") + why)
    return Rows(train[~chosen], train[chosen], test, "strict")


def _rows_of_fold(
    features: Features, train: NDArray[np.int64], path: str | os.PathLike[str], fold: int | None
) -> NDArray[np.bool_]:
    """Return which of the train rows are in the fold that chooses, (n_train,)."""
    folds = read_folds(Path(path)).of_rows(features, train)  # (n_train,)
    chosen: NDArray[np.bool_] = folds == fold  # (n_train,)
    present = np.unique(folds).tolist()
    if fold not in present or len(present) < 2:
        raise UserError(
            f"--fold: got {fold}; expected one of two or more folds of the train tracklets. {path} has "
            f"{', '.join(map(str, present[:20]))}"
        )
    return chosen


def _who(features: Features, rows: NDArray[np.int64], kind: str) -> str:
    people = len(np.unique(features.person_ids[rows]))
    of = f" of {counted(people, 'person', 'people')}" if features.people_known else ""
    verb = "chooses" if len(rows) == 1 else "choose"
    return f"{count_of(len(rows), f'{kind} {features.schema.unit}')}{of} {verb} the epoch and the thresholds"
