"""Which rows train, which choose, which test. The test split never chooses anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache.features import Features
from vpar_cache.errors import DataError
from vpar_cache.models.systems import SYSTEMS
from vpar_cache.training.config import TrainConfig

MIN_PEOPLE = 5
"""Below this many train people, holding some out would leave too few to learn from or to choose by."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Row numbers of a cache."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    """Of train people who are not in `train`; empty under the paper's protocol."""
    test: NDArray[np.int64]
    protocol: str
    """What was really done: strict falls back to paper when there are too few people."""


def choose_rows(features: Features, config: TrainConfig, say: Callable[[str], None]) -> Rows:
    """strict: an identity-disjoint part of the train people is held out; paper, reference: all of them train.

    The part depends on --seed and --val-fraction alone. DataError when a split is empty.
    """
    train, test = features.rows_of("train"), features.rows_of("test")
    for name, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise DataError(f"{features.path} has no {name} tracklet; extract it again from data with both splits")
    people = np.unique(features.person_ids[train])
    nobody = np.empty(0, dtype=np.int64)
    if config.protocol != "strict":
        return Rows(train, nobody, test, config.protocol)
    if not SYSTEMS[config.model].is_trained:
        return Rows(train, nobody, test, "paper")
    if len(people) < MIN_PEOPLE:
        say(
            f"{len(people)} train people are too few to hold some out (at least {MIN_PEOPLE}): going on with "
            "--protocol paper, the last epoch and threshold 0.45"
        )
        return Rows(train, nobody, test, "paper")
    count = min(max(1, math.floor(config.val_fraction * len(people) + 0.5)), len(people) - 1)
    random = np.random.Generator(np.random.PCG64([config.seed, 1]))  # apart from the order of batches
    held_out = np.isin(features.person_ids[train], random.choice(people, size=count, replace=False))
    return Rows(train[~held_out], train[held_out], test, "strict")
