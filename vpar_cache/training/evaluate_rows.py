"""Numbers and predictions of some rows of a cache, for run folders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache.index import Index
from vpar_cache.cache.joined import JoinedFeatures
from vpar_cache.metrics.constants import best_constant
from vpar_cache.metrics.evaluation import Baselines, Evaluation, baselines, evaluate
from vpar_cache.metrics.parts import parts_of
from vpar_cache.metrics.verdict import verdict
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
        people=cache.people_of(rows),
        train=train,
        selected_threshold=selected_threshold,
        parts=[part for part in parts if not part.rows.all()] if with_parts else (),  # all rows are no part
        unit=cache.schema.unit,
    )


def evaluate_validation(
    cache: Index, train: Rows, rows: Rows, probabilities: NDArray[np.float32], threshold: float | None
) -> Evaluation | None:
    """Return the numbers of the validation rows (n,) with their probabilities (n, A); None without any.

    Their baselines are chosen on the rows that trained.
    """
    if not len(rows):
        return None
    return evaluate_rows(cache, rows, probabilities, train_baselines(cache, train), threshold, with_parts=False)


@dataclass(frozen=True, eq=False)
class TestSet:
    """The test rows of one cache, and all numbers of them."""

    dataset: str
    rows: Rows
    """(n,)"""
    found: Evaluation


def score_tests(
    cache: JoinedFeatures, rows: Rows, probabilities: NDArray[np.float32], threshold: float | None
) -> Iterator[TestSet]:
    """Yield the test rows of each cache that has some, of all test rows (n,) and their probabilities (n, A).

    The baselines of all are chosen on the train rows of all caches.
    """
    train = train_baselines(cache, cache.rows_of("train"))
    for source in cache.sources:
        start, stop = np.searchsorted(rows, [source.rows.start, source.rows.stop]).tolist()
        if start < stop:
            found = evaluate_rows(cache, rows[start:stop], probabilities[start:stop], train, threshold)
            yield TestSet(source.dataset, rows[start:stop], found)


def verdicts(tests: Sequence[TestSet]) -> str:
    """Return the verdict of the test set; of several, a line for each."""
    if len(tests) == 1:
        return verdict(tests[0].found)
    return "\n".join(f"{test.dataset}: {verdict(test.found)}" for test in tests)


def metrics_block(cache: Index, tests: Sequence[TestSet], validation: Evaluation | None) -> dict[str, Any]:
    """Return metrics.json of a run: the numbers of the first test set, and a list of those of the others."""
    first, *others = (_test_block(cache, test) for test in tests)
    return {**first, "validation": None if validation is None else asdict(validation), "other_tests": others}


def _test_block(cache: Index, test: TestSet) -> dict[str, Any]:
    ids = [cache.tracklet_ids[row] for row in test.rows]
    labels = cache.labels[test.rows].astype(bool)  # (n, A)
    digest = rows_digest(cache.schema, ids, cache.people_of(test.rows), labels, cache.known[test.rows])
    return {"dataset": test.dataset, "split": "test", "rows": digest, **asdict(test.found)}
