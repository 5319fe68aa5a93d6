"""What a protocol is: answers, numbers of each tracklet (terms), and scores as a function of their sums.

Everything that scores uses this one definition. A score of all tracklets sums all terms; a score of a part sums
the terms of that part; a bootstrap over people sums the terms of each person once, and a resample is then a
product with the number of times that each person was drawn (metrics/intervals.py); shuffled predictions are the
same answers in other rows (metrics/shuffled.py).

To add a protocol, write its functions and its Protocol in a file of its own, and list it in metrics/scoring.py.
Its label terms have `tracklets` (N, U): 1 where the tracklet counts for unit u, 0 where its labels are unknown.
What is unknown adds 0 to every term. A unit is what is scored by itself: a group, or all outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpar_cache.metrics.inputs import Bools, Floats, Groups, check_inputs, check_threshold

Numbers = NDArray[np.float64]
Terms = Mapping[str, NDArray[Any]]
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
    """Unweighted means over the groups that have known labels."""

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
    answers: Callable[[Floats, Groups, float], Bools]
    """Probabilities (N, A), groups and threshold -> what is said of each output or class (N, C)."""
    label_terms: Callable[[Bools, Bools, Groups], Terms]
    """Labels and known (N, A) each, and units -> the terms that no answer changes."""
    answer_terms: Callable[[Bools, Bools, Bools, Groups], Terms]
    """Answers (N, C), labels and known (N, A) each, and units -> the other terms."""
    scores: Callable[[Terms, Groups], Mapping[str, Metrics]]
    """Sums of the terms -> metrics by unit. Where no tracklet of a unit counts they are not used."""
    one_class: bool
    """Whether every group of several outputs must have exactly one true class."""
    interval_metrics: tuple[str, ...]
    """Averages that have a 95 % interval. Of groups, f1 has one."""
    joint: bool = False
    """All outputs are one unit, so that there are no scores of groups."""

    def units(self, groups: Groups) -> Groups:
        """Return what is scored by itself: the groups, or all outputs together."""
        return [("all outputs", slice(0, groups[-1][1].stop))] if self.joint else groups

    def score(
        self,
        probabilities: ArrayLike,
        labels: ArrayLike,
        groups: Groups,
        threshold: float | None = None,
        *,
        known: ArrayLike | None = None,
    ) -> ProtocolScores:
        """Return the scores of probabilities (N, A) against labels (N, A) where known (N, A).

        `threshold` None: the protocol's own. A group without any known label has no score, and no part in the
        averages. Raises DataError for arrays that do not fit, UserError for a threshold outside 0 to 1.
        """
        p, truth, is_known = check_inputs(probabilities, labels, groups, self.one_class, known=known)
        threshold = self.threshold if threshold is None else float(threshold)
        check_threshold(threshold)
        terms = self.terms(self.answers(p, groups, threshold), truth, is_known, groups)
        return self.scores_of_sums(total(terms), groups, threshold)

    def terms(self, answers: Bools, labels: Bools, known: Bools, groups: Groups) -> Terms:
        """Return all terms of answers (N, C), for labels and known (N, A) each."""
        units = self.units(groups)
        fixed = self.label_terms(labels, known, units)
        return {**fixed, **self.answer_terms(answers, labels, known, units)}

    def scores_of_sums(self, sums: Terms, groups: Groups, threshold: float) -> ProtocolScores:
        """Return the scores for sums (k,) of the terms."""
        by_unit, average = self.metrics_of_sums(sums, groups)
        found = {} if self.joint else {name: _numbers(metrics) for name, metrics in by_unit.items()}
        with_labels = {name: metrics for name, metrics in found.items() if not math.isnan(metrics["f1"])}
        return ProtocolScores(self.name, threshold, with_labels, _numbers(average))

    def metrics_of_sums(self, sums: Terms, groups: Groups) -> tuple[dict[str, Metrics], Metrics]:
        """Return the metrics of each unit, and their averages over units, for sums (..., k) of the terms.

        NaN where no tracklet counts.
        """
        counts = np.moveaxis(sums["tracklets"] > 0, -1, 0)  # (U, ...)
        by_unit = {}
        for counted, (name, metrics) in zip(counts, self.scores(sums, self.units(groups)).items(), strict=True):
            by_unit[name] = {metric: np.where(counted, values, np.nan) for metric, values in metrics.items()}
        number = counts.sum(axis=0)  # (...)
        average = {}
        for metric in next(iter(by_unit.values())):
            total = np.sum([np.nan_to_num(metrics[metric]) for metrics in by_unit.values()], axis=0)  # (...)
            average[metric] = np.where(number > 0, ratio(total, number), np.nan)
        return {name: _with_f1_of_means(metrics) for name, metrics in by_unit.items()}, _with_f1_of_means(average)


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Numbers:
    """Return numerator / denominator of one shape by element, 0 where the denominator is 0."""
    quotient: Numbers = np.divide(numerator, denominator, out=np.zeros(denominator.shape), where=denominator != 0)
    return quotient


def precision_recall_f1(hits: NDArray[Any], predicted: NDArray[Any], actual: NDArray[Any]) -> dict[str, Numbers]:
    """Return precision, recall and F1 by element, from counts of one shape."""
    f1 = ratio(2 * hits, predicted + actual)
    return {"precision": ratio(hits, predicted), "recall": ratio(hits, actual), "f1": f1}


def total(terms: Terms) -> dict[str, Numbers]:
    """Return the sums of terms over all tracklets: (N, k) -> (k,)."""
    return {name: values.sum(axis=0, dtype=np.float64) for name, values in terms.items()}


def above_threshold(probabilities: Floats, groups: Groups, threshold: float) -> Bools:
    """Return which outputs hold (N, A)."""
    return probabilities > probabilities.dtype.type(threshold)


def output_label_terms(labels: Bools, known: Bools, groups: Groups) -> dict[str, NDArray[Any]]:
    """Return the terms of the labels of single outputs (N, A), and of known groups (N, G)."""
    starts = [columns.start for _, columns in groups]
    return {"positives": labels, "known": known, "tracklets": known[:, starts]}


def output_answer_terms(answers: Bools, labels: Bools, known: Bools) -> dict[str, NDArray[Any]]:
    """Return the terms of the answers to single outputs (N, A)."""
    return {"hits": answers & labels, "predicted": answers & known}


def output_metrics(sums: Terms) -> dict[str, Numbers]:
    """Return precision, recall and F1 of the positive class, and mA, of each output: (..., A) each.

    mA is (TPR + TNR) / 2. An output without a positive (or negative) tracklet has TPR (or TNR) 0, as in the PAR
    toolboxes.
    """
    hits, predicted, positives, known = (sums[name] for name in ("hits", "predicted", "positives", "known"))
    rejections = known - predicted - positives + hits  # (..., A): neither predicted nor true
    rates = ratio(hits, positives) + ratio(rejections, known - positives)  # (..., A)
    return {**precision_recall_f1(hits, predicted, positives), "mA": rates / 2}


def group_sums(values: NDArray[Any], groups: Groups) -> Numbers:
    """Return the sums over the outputs of each group: (..., A) -> (..., G)."""
    belongs = np.zeros((values.shape[-1], len(groups)), np.float32)  # (A, G)
    for g, (_, columns) in enumerate(groups):
        belongs[columns, g] = 1
    wide: NDArray[Any] = values.astype(np.float32 if values.dtype == bool else np.float64)  # (..., A): counts are exact in both
    sums: Numbers = (wide @ belongs).astype(np.float64)  # (..., G): faster than np.add.reduceat
    return sums


def _with_f1_of_means(metrics: Metrics) -> Metrics:
    if "precision" not in metrics:
        return metrics
    precision, recall = metrics["precision"], metrics["recall"]
    return {**metrics, "f1_of_means": ratio(2 * precision * recall, precision + recall)}


def _numbers(metrics: Metrics) -> dict[str, float]:
    return {metric: float(value) for metric, value in metrics.items()}
