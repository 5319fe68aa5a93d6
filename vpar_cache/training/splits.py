"""Choose the rows that train, the rows that select epoch and threshold, and the rows that test."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.callbacks import Say, log
from vpar_cache.cache.features import Features
from vpar_cache.errors import DataError
from vpar_cache.models.systems import SYSTEMS
from vpar_cache.training.config import TrainConfig

MIN_PEOPLE = 5
"""With fewer train people nobody is held out: too few would be left to train or to select with."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Row numbers of a cache. The test rows select nothing."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    """Rows of train people who are not in `train`; empty where nobody is held out."""
    test: NDArray[np.int64]
    recipe: str
    """The recipe that was followed: strict falls back to paper when there are too few people."""


def choose_rows(features: Features, config: TrainConfig, say: Say = log) -> Rows:
    """Return the rows of each part.

    strict: some train people are held out; who depends on --seed and --val-fraction alone. paper, reference: all
    train people train. Raises DataError when a split is empty.
    """
    train, test = features.rows_of("train"), features.rows_of("test")
    for name, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise DataError(f"{features.path} has no {name} tracklet; extract it again from data with both splits")
    nobody = np.empty(0, dtype=np.int64)
    if config.recipe != "strict":
        return Rows(train, nobody, test, config.recipe)
    if config.model in SYSTEMS and not SYSTEMS[config.model].is_trained:
        return Rows(train, nobody, test, "paper")
    people = np.unique(features.person_ids[train])
    if len(people) < MIN_PEOPLE:
        say(
            f"{len(people)} train people are too few to hold some out (at least {MIN_PEOPLE}): continuing with "
            "--recipe paper, the last epoch and threshold 0.45"
        )
        return Rows(train, nobody, test, "paper")
    count = min(max(1, math.floor(config.val_fraction * len(people) + 0.5)), len(people) - 1)
    random = np.random.Generator(np.random.PCG64([config.seed, 1]))  # not the generator of the order of batches
    held_out = np.isin(features.person_ids[train], random.choice(people, size=count, replace=False))  # (n_train,)
    return Rows(train[~held_out], train[held_out], test, "strict")
