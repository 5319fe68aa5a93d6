"""Scores as rows of the long table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vpar_cache.metrics.intervals import Intervals
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.rendering.tables import Number
from vpar_cache.runs.finished import FinishedRun

AVERAGES, GROUPS = "averages", "groups"
"""The tables of every system: its averages over groups, and its scores of each group."""


def about_run(run: FinishedRun, name: str) -> dict[str, Any]:
    """Return what all numbers of a run share; `name` is what the report calls it."""
    kind = ", ".join(filter(None, (run.title, run.recipe)))
    return {"dataset": run.dataset, "split": run.split, "system": name, "source": "run", "kind": kind,
            "weights": run.weights}  # fmt: skip


def score_numbers(
    scores: Mapping[str, ProtocolScores], intervals: Intervals | None = None, **about: Any
) -> Iterator[Number]:
    """Yield every score, averages first, with its interval where there is one.

    The protocol of a number is its key in `scores`, so that vtf_selected stays apart from vtf even at an equal
    threshold. `about` are the fields of Number that all share.
    """
    for protocol, block in scores.items():
        rows = [(AVERAGES, "average", block.average), *((GROUPS, *item) for item in block.groups.items())]
        for table, group, metrics in rows:
            for metric, value in metrics.items():
                found = intervals and intervals.of(protocol, None if table == AVERAGES else group, metric)
                low, high = (100 * end for end in found) if found else (None, None)
                yield Number(
                    table=table, protocol=protocol, threshold=block.threshold, group=group, metric=metric,
                    value=100 * value, low=low, high=high, **about,
                )  # fmt: skip


def run_label(run: FinishedRun, name: str) -> str:
    """Return a run's name with what must be known beside each of its numbers."""
    marks = ["random weights"] if run.random_weights else []
    return with_marks(name, [*filter(None, (run.title, run.recipe)), *marks])


def with_marks(name: str, marks: Sequence[str]) -> str:
    """Return "name (mark, mark)"."""
    return f"{name} ({', '.join(marks)})" if marks else name
