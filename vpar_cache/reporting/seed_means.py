"""Runs that differ by their seed alone, averaged: one row a system, mean and standard deviation.

The deviation (of the sample, n - 1) is that between seeds on one test split. How far a score depends on the choice
of test people is another question: the intervals of a single run answer it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from vpar_cache.rendering.tables import Number
from vpar_cache.reporting.numbers import AVERAGES
from vpar_cache.runs.finished import FinishedRun

MEASURES = (
    ("vtf P", "vtf", "precision"), ("vtf R", "vtf", "recall"), ("vtf F1", "vtf", "f1"),
    ("videopar F1", "videopar", "f1"), ("videopar acc", "videopar", "accuracy"),
)  # fmt: skip
"""Column, protocol and metric of each average over groups."""


@dataclass(frozen=True)
class SeedMean:
    """Averages of runs that differ by their seed alone."""

    title: str
    recipe: str
    random_weights: bool
    runs: tuple[str, ...]
    """Their names."""
    means: tuple[float, ...]
    """A fraction for each of MEASURES."""
    deviations: tuple[float, ...] | None
    """None for a single run."""

    @property
    def label(self) -> str:
        """Return the system with what must be known beside its numbers."""
        random = "random weights" + (": without meaning" if self.title.startswith("zero-shot") else "")
        details = [self.recipe, *([random] if self.random_weights else [])]
        return f"{self.title} ({', '.join(details)})"

    def cells(self) -> tuple[str, ...]:
        """Return percents with two decimals: `40.12 ± 0.53`, or `40.12` for a single run."""
        spreads = self.deviations or (None,) * len(self.means)
        return tuple(
            f"{100 * value:.2f}" + ("" if spread is None else f" ± {100 * spread:.2f}")
            for value, spread in zip(self.means, spreads, strict=True)
        )

    def numbers(self, dataset: str) -> Iterator[Number]:
        """Yield the means and, as `METRIC_deviation`, the deviations."""
        about: dict[str, Any] = {
            "table": AVERAGES,
            "dataset": dataset,
            "system": self.title,
            "source": f"mean of {len(self.runs)} seeds",
            "kind": self.recipe,
            "weights": "random" if self.random_weights else "",
            "group": "average",
        }
        for suffix, values in (("", self.means), ("_deviation", self.deviations or ())):
            for (_, protocol, metric), value in zip(MEASURES, values, strict=False):
                yield Number(protocol=protocol, metric=metric + suffix, value=100 * value, **about)


def seed_means(runs: Iterable[FinishedRun]) -> list[SeedMean]:
    """Return the means of runs that differ by their seed alone, in the order of their first run."""
    alike: dict[tuple[str, ...], list[FinishedRun]] = {}
    for run in runs:
        alike.setdefault((run.place, run.title or run.name, run.recipe, run.all_but_seed), []).append(run)
    return [_mean(members) for members in alike.values()]


def _mean(runs: Sequence[FinishedRun]) -> SeedMean:
    columns = [[run.scores[protocol].average[metric] for run in runs] for _, protocol, metric in MEASURES]
    return SeedMean(
        title=runs[0].title or runs[0].name,
        recipe=runs[0].recipe,
        random_weights=any(run.random_weights for run in runs),
        runs=tuple(run.name for run in runs),
        means=tuple(mean(values) for values in columns),
        deviations=tuple(stdev(values) for values in columns) if len(runs) > 1 else None,
    )
