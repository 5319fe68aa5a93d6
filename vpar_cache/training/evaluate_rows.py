"""Numbers and predictions of some rows of a cache, for run folders."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache.index import Index
from vpar_cache.metrics.constants import best_constant
from vpar_cache.metrics.evaluation import Baselines, Evaluation, baselines, evaluate
from vpar_cache.metrics.parts import parts_of
from vpar_cache.metrics.vtf import VTF
from vpar_cache.runs.scored_rows import rows_digest

Rows = NDArray[np.int64]


def train_baselines(cache: Index, rows: Rows) -> Baselines:
    """Return what the labels of train rows give: the best constants, and the prior's rates."""
    return baselines(cache.labels[rows], cache.schema.named_slices(), known=cache.known[rows])


def best_constant_f1(cache: Index, train: Rows, rows: Rows) -> float:
    """Return the average vtf F1 of the best constant of `train` on other rows; NaN where there are none."""
    if not len(rows):
        return math.nan
    groups = cache.schema.named_slices()
    held = best_constant(VTF, cache.labels[train], groups, known=cache.known[train])  # (A,)
    answers = np.broadcast_to(held.astype(np.float64), (len(rows), len(held)))  # (n, A)
    return VTF.score(answers, cache.labels[rows], groups, known=cache.known[rows]).average["f1"]


def evaluate_rows(
    cache: Index,
    rows: Rows,
    probabilities: NDArray[np.float32],
    train: Baselines | None,
    selected_threshold: float | None = None,
    *,
    with_parts: bool = True,
) -> Evaluation:
    """Return all numbers of the probabilities (n, A) of n rows, with those of parts of them where wanted."""
    parts = parts_of(
        cache.schema.quality,
        cache.quality[rows].astype(bool),
        cache.camera_ids[rows].astype(np.int64),
        cache.num_frames[rows].astype(np.int64),
    )
    return evaluate(
        probabilities,
        cache.labels[rows],
        cache.schema.named_slices(),
        known=cache.known[rows],
        people=people_of(cache, rows),
        train=train,
        selected_threshold=selected_threshold,
        parts=parts if with_parts else (),
    )


def people_of(cache: Index, rows: Rows) -> NDArray[np.int32] | None:
    """Return the person of each row (n,), None where people are not known."""
    return cache.person_ids[rows] if cache.people_known else None


def metrics_block(cache: Index, rows: Rows, test: Evaluation, validation: Evaluation | None) -> dict[str, Any]:
    """Return metrics.json of a run whose test rows are `rows`."""
    ids = [cache.tracklet_ids[row] for row in rows]
    labels = cache.labels[rows].astype(bool)  # (n, A)
    return {
        "split": "test",
        "rows": rows_digest(cache.schema, ids, people_of(cache, rows), labels, cache.known[rows]),
        **asdict(test),
        "validation": None if validation is None else asdict(validation),
    }
