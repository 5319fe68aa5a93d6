"""What a protocol is: numbers of each tracklet (terms), and scores as a function of their sums.

Everything that scores uses this one definition. A score of all tracklets sums all terms; a score of a part sums
the terms of that part; a bootstrap over people sums the terms of each person once, and a resample is then a
product with the number of times that each person was drawn (metrics/intervals.py).

To add a protocol, write its two functions and its Protocol in a file of its own, and list it in
metrics/scoring.py. Protocols of other shapes fit too:

    pooled      terms: hits, predicted and positives of each group (N, G); scores: ratios of their sums
    instance    terms: accuracy, precision, recall and F1 of each tracklet over all outputs, and 1 to count it,
                (N, 1) each; scores: the one group {"all": ...}

Every count that a ratio needs is a term as well (the tracklets, the negatives). So labels that are not known need
another argument of `terms` alone, a mask (N, A): what is not known adds 0 to every term.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpar_cache.metrics.inputs import Bools, Floats, Groups, check_inputs, check_threshold

Numbers = NDArray[np.float64]
Terms = Mapping[str, Numbers]
"""By name, (N, k) each, or their sums (..., k)."""
Metrics = Mapping[str, Numbers]
"""By name, (...) each: one number for each sum. Fractions in 0 to 1."""


@dataclass(frozen=True)
class ProtocolScores:
    """Scores of one protocol at one threshold, by metric name. Fractions in 0 to 1."""

    protocol: str
    threshold: float
    groups: Mapping[str, Mapping[str, float]]
    average: Mapping[str, float]
    """Unweighted means over groups."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Protocol:
    """One way to score predictions.

    Scores with a precision and a recall also get `f1_of_means`, the harmonic mean of these two. PAR toolboxes
    often print it as F1; it is never below the `f1` beside it.
    """

    name: str
    threshold: float
    """An output holds if its probability is above it, compared in the dtype of the probabilities: a float32 0.45
    is not above 0.45."""
    terms: Callable[[Floats, Bools, Groups, float], Terms]
    """Probabilities (N, A), labels (N, A), groups and threshold -> terms of each tracklet."""
    scores: Callable[[Terms, Groups], Mapping[str, Metrics]]
    """Sums of the terms -> metrics by group."""
    one_class: bool
    """Whether every group of several outputs must have exactly one true class."""
    interval_metrics: tuple[str, ...]
    """Averages that have a 95 % interval. Of groups, f1 has one."""

    def score(
        self, probabilities: ArrayLike, labels: ArrayLike, groups: Groups, threshold: float | None = None
    ) -> ProtocolScores:
        """Return the scores of probabilities (N, A) against labels (N, A).

        `threshold` None: the protocol's own. Raises DataError for arrays that do not fit, UserError for a
        threshold outside 0 to 1.
        """
        p, truth = check_inputs(probabilities, labels, groups, self.one_class)
        threshold = self.threshold if threshold is None else float(threshold)
        check_threshold(threshold)
        sums = {name: values.sum(axis=0) for name, values in self.terms(p, truth, groups, threshold).items()}
        by_group, average = self.scores_of_sums(sums, groups)
        numbers = {name: _numbers(metrics) for name, metrics in by_group.items()}
        return ProtocolScores(self.name, threshold, numbers, _numbers(average))

    def scores_of_sums(self, sums: Terms, groups: Groups) -> tuple[dict[str, Metrics], Metrics]:
        """Return the metrics of each group, and their averages over groups, for sums (..., k) of the terms."""
        by_group = self.scores(sums, groups)
        names = next(iter(by_group.values()))
        average = {metric: np.mean([scores[metric] for scores in by_group.values()], axis=0) for metric in names}
        return {group: _with_f1_of_means(scores) for group, scores in by_group.items()}, _with_f1_of_means(average)


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Numbers:
    """Return numerator / denominator of one shape by element, 0 where the denominator is 0."""
    quotient: Numbers = np.divide(numerator, denominator, out=np.zeros(denominator.shape), where=denominator != 0)
    return quotient


def precision_recall_f1(hits: Numbers, predicted: Numbers, actual: Numbers) -> dict[str, Numbers]:
    """Return precision, recall and F1 by element, from counts of one shape."""
    f1 = ratio(2 * hits, predicted + actual)
    return {"precision": ratio(hits, predicted), "recall": ratio(hits, actual), "f1": f1}


def group_sums(values: NDArray[Any], groups: Groups) -> Numbers:
    """Return the sums over the outputs of each group: (..., A) -> (..., G)."""
    return np.add.reduceat(values, [columns.start for _, columns in groups], axis=-1, dtype=np.float64)


def _with_f1_of_means(metrics: Metrics) -> Metrics:
    if "precision" not in metrics:
        return metrics
    precision, recall = metrics["precision"], metrics["recall"]
    return {**metrics, "f1_of_means": ratio(2 * precision * recall, precision + recall)}


def _numbers(metrics: Metrics) -> dict[str, float]:
    return {metric: float(value) for metric, value in metrics.items()}
