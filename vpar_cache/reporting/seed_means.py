"""Runs that differ by their seed alone, averaged: one row a system, mean and standard deviation.

The deviation (of the sample, n - 1) is that between seeds on one test split. How far a score depends on the choice
of test people is another question: the intervals of a single run answer it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from vpar_cache.metrics.scoring import THRESHOLDS
from vpar_cache.rendering.tables import MISSING, Number
from vpar_cache.reporting.numbers import AVERAGES
from vpar_cache.runs.finished import FinishedRun

MEASURES = {
    "vtf": {"precision": "P", "recall": "R", "f1": "F1", "mA": "mA"},
    "videopar": {"f1": "F1", "accuracy": "acc"},
    "pooled": {"precision": "P", "recall": "R", "f1": "F1", "mA": "mA"},
    "instance": {"accuracy": "acc", "precision": "P", "recall": "R", "f1": "F1", "mA": "mA"},
}
"""Headings of the averages, by protocol and metric."""

Measure = tuple[str, str]
"""Protocol and metric."""


@dataclass(frozen=True)
class SeedMean:
    """Averages of runs that differ by their seed alone, fractions by protocol and metric."""

    title: str
    recipe: str
    random_weights: bool
    runs: tuple[str, ...]
    """Their names."""
    means: Mapping[Measure, float]
    deviations: Mapping[Measure, float]
    """Empty for a single run."""
    constants: Mapping[Measure, float]
    """Of the best constant; empty without train labels."""
    shuffled: Mapping[Measure, float]
    """Of the runs' own predictions, shuffled: the mean; empty for one test person."""

    @property
    def label(self) -> str:
        """Return the system with what must be known beside its numbers."""
        random = "random weights" + (": without meaning" if self.title.startswith("zero-shot") else "")
        details = [self.recipe, *([random] if self.random_weights else [])]
        return f"{self.title} ({', '.join(details)})"

    def cells(self, protocol: str) -> tuple[str, ...]:
        """Return the averages of a protocol, then the shuffled F1, in percent with two decimals.

        `40.12 ± 0.53`, or `40.12` for a single run.
        """
        texts = [_cell(self.means[protocol, m], self.deviations.get((protocol, m))) for m in MEASURES[protocol]]
        luck = self.shuffled.get((protocol, "f1"))
        return (*texts, MISSING if luck is None else _cell(luck, None))

    def numbers(self, dataset: str) -> Iterator[Number]:
        """Yield the means with their baselines and, as `METRIC_deviation`, the deviations."""
        about: dict[str, Any] = {
            "table": AVERAGES,
            "dataset": dataset,
            "system": self.title,
            "source": f"mean of {len(self.runs)} seeds",
            "kind": self.recipe,
            "weights": "random" if self.random_weights else "",
            "group": "average",
        }
        for (protocol, metric), value in self.means.items():
            best, luck = self.constants.get((protocol, metric)), self.shuffled.get((protocol, metric))
            yield Number(
                protocol=protocol,
                threshold=THRESHOLDS[protocol],
                metric=metric,
                value=100 * value,
                best_constant=None if best is None else 100 * best,
                shuffled=None if luck is None else 100 * luck,
                **about,
            )
        for (protocol, metric), value in self.deviations.items():
            about |= {"protocol": protocol, "threshold": THRESHOLDS[protocol]}
            yield Number(metric=f"{metric}_deviation", value=100 * value, **about)


def _cell(value: float, spread: float | None) -> str:
    return f"{100 * value:.2f}" + ("" if spread is None else f" ± {100 * spread:.2f}")


def seed_means(runs: Iterable[FinishedRun]) -> list[SeedMean]:
    """Return the means of runs that differ by their seed alone, in the order of their first run."""
    alike: dict[tuple[str, ...], list[FinishedRun]] = {}
    for run in runs:
        alike.setdefault((run.rows, run.title or run.name, run.recipe, run.all_but_seed), []).append(run)
    return [_mean(members) for members in alike.values()]


def _mean(runs: Sequence[FinishedRun]) -> SeedMean:
    measures = [(protocol, metric) for protocol, metrics in MEASURES.items() for metric in metrics]
    values = {key: [run.scores[key[0]].average[key[1]] for run in runs] for key in measures}
    return SeedMean(
        title=runs[0].title or runs[0].name,
        recipe=runs[0].recipe,
        random_weights=any(run.random_weights for run in runs),
        runs=tuple(run.name for run in runs),
        means={key: mean(found) for key, found in values.items()},
        deviations={key: stdev(found) for key, found in values.items()} if len(runs) > 1 else {},
        constants={(p, m): runs[0].best_constant[p].average[m] for p, m in measures if runs[0].best_constant},
        shuffled={
            (p, m): mean(run.shuffled[p].average[m].mean for run in runs) for p, m in measures if runs[0].shuffled
        },
    )
