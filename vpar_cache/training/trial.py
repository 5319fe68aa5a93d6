"""One training that only its validation tracklets judge, without a run folder: for a search over settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.base.computing import fp32_without_tf32, out_of_memory
from vpar_cache.base.cores import limit_torch_threads
from vpar_cache.cache.features import Features
from vpar_cache.errors import DataError, UserError
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.loop import Trainer
from vpar_cache.training.schedule import WARMUP_EPOCHS
from vpar_cache.training.splits import Rows, choose_rows
from vpar_cache.training.train import LESS_MEMORY, resolved


@dataclass(frozen=True)
class ValidationCurve:
    """The vtf F1 of the validation tracklets after each epoch."""

    f1: tuple[float, ...]
    ended_early: bool = False
    failure: str = ""
    """Why these settings cannot be trained: the training diverged, or ran out of memory."""


def rows_without_test(features: Features, config: TrainConfig, say: Say = log) -> Rows:
    """Return the rows that train and those that judge. UserError where nobody can be held out."""
    rows = choose_rows(features, config, say)
    if not len(rows.validation):
        raise UserError(
            f"--features: got {features.where}, of which no tracklet can judge; expected validation tracklets, or "
            "enough train people to hold some out. Give --folds, or extract more people"
        )
    return Rows(rows.train, rows.validation, rows.test[:0], rows.recipe)


def validation_curve(
    config: TrainConfig, features: Features, *, medians: Sequence[float] = (), stop: Stop = never
) -> ValidationCurve:
    """Train with these settings, and return how the validation tracklets were predicted.

    The test tracklets are neither read nor predicted, and nothing is written. `medians`: for each epoch the median
    F1 of other settings, or empty. The training ends early where its best F1 so far is below it; never in the
    first WARMUP_EPOCHS epochs, in which --schedule warmup-cosine learns little. (The median rule of Golovin et
    al., Google Vizier, KDD 2017.)
    """
    config = resolved(config)
    rows = rows_without_test(features, config, say=lambda line: None)

    def ends(history: list[dict[str, Any]]) -> bool:
        done = len(history)
        if not WARMUP_EPOCHS < done < config.epochs or done > len(medians):
            return False
        best: float = max(row["validation_f1"] for row in history)
        return best < medians[done - 1]

    limit_torch_threads()
    try:
        with out_of_memory(LESS_MEMORY), fp32_without_tf32():
            history, _ = Trainer(config, features, rows, stop=stop).fit(ends=ends)
    except (DataError, UserError) as error:
        return ValidationCurve((), failure=str(error))
    return ValidationCurve(
        tuple(row["validation_f1"] for row in history), ended_early=len(history) < config.epochs
    )
