"""numpy in, numbers out: what the averages of metrics.py hide. Single outputs, calibration, thresholds, classes.

Everywhere N is the number of tracklets, A of outputs; see metrics.py for the rules that hold here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpar_cache.metrics.protocols import (
    Bools,
    Floats,
    Groups,
    check_inputs,
    check_threshold,
    mean_accuracy,
    output_counts,
    ratio,
    vtf_scores,
)

CURVE = tuple(step / 20 for step in range(1, 20))
"""0.05 .. 0.95."""
NUM_BINS = 10


def output_scores(
    probabilities: ArrayLike, labels: ArrayLike, groups: Groups, threshold: float
) -> Mapping[str, NDArray[np.float64]]:
    """(A,) each: precision, recall and F1 of the positive class over all tracklets at probability > threshold,
    and mA = (TPR + TNR) / 2. Raises as vtf_scores."""
    p, truth = check_inputs(probabilities, labels, groups)
    check_threshold(threshold)
    predictions = p > p.dtype.type(threshold)
    hits, predicted, actual = map(output_counts, (predictions & truth, predictions, truth))  # (A,) each
    return {
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, actual),
        "f1": ratio(2 * hits, predicted + actual),
        "mA": mean_accuracy(predictions, truth),
    }


@dataclass(frozen=True, eq=False)
class Calibration:
    """Whether a probability says how often its output holds, in bins of equal width (a, b] from 0 to 1."""

    count: NDArray[np.int64]
    """(bins,) probabilities in each; the first bin has its 0 too."""
    mean_probability: NDArray[np.float64]
    """(bins,), 0 in an empty one."""
    frequency: NDArray[np.float64]
    """(bins,) the share of labels that are 1, 0 in an empty one."""

    @property
    def error(self) -> float:
        """Expected calibration error: |frequency - mean probability| of each bin, weighted by its count (Naeini
        et al. 2015; of yes/no outputs, so that the probability itself is the confidence)."""
        gaps = np.abs(self.frequency - self.mean_probability)
        return float((gaps * self.count).sum() / self.count.sum())


def calibration(probabilities: Floats, labels: Bools, num_bins: int = NUM_BINS) -> Calibration:
    """Of arrays of one shape, every output of every tracklet pooled. Bins as scikit-learn's calibration_curve."""
    p, truth = probabilities.reshape(-1).astype(np.float64), labels.reshape(-1)
    edges = np.linspace(0, 1, num_bins + 1)
    bins = np.searchsorted(edges[1:-1], p)
    count = np.bincount(bins, minlength=num_bins)
    totals = (np.bincount(bins, weights, minlength=num_bins) for weights in (p, truth.astype(np.float64)))
    mean_probability, frequency = (ratio(total, count) for total in totals)
    return Calibration(count, mean_probability, frequency)


def threshold_curve(probabilities: ArrayLike, labels: ArrayLike, groups: Groups) -> NDArray[np.float64]:
    """Average vtf precision, recall and F1 at each threshold of CURVE: (thresholds, 3)."""
    averages = (vtf_scores(probabilities, labels, groups, threshold).average for threshold in CURVE)
    return np.array([[average[metric] for metric in ("precision", "recall", "f1")] for average in averages])


def confusion(probabilities: Floats, labels: Bools) -> NDArray[np.int64]:
    """(N, K) of one group with K > 1 outputs -> (K, K) tracklets, true class by most probable class."""
    from scipy.stats.contingency import crosstab  # takes a second to import; the report without details is quick

    levels = range(probabilities.shape[1])
    table = crosstab(labels.argmax(axis=1), probabilities.argmax(axis=1), levels=(levels, levels))
    return np.asarray(table.count, np.int64)
