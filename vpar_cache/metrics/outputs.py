"""Numbers that averages over groups hide: single outputs, calibration, thresholds, classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpar_cache.metrics.inputs import Bools, Floats, Groups, check_inputs, check_threshold
from vpar_cache.metrics.protocol import ratio
from vpar_cache.metrics.scoring import THRESHOLD_GRID
from vpar_cache.metrics.vtf import VTF, output_metrics

NUM_BINS = 10


def output_scores(
    probabilities: ArrayLike, labels: ArrayLike, groups: Groups, threshold: float
) -> Mapping[str, NDArray[np.float64]]:
    """Return precision, recall and F1 of the positive class over all tracklets, and mA, of each output: (A,) each.

    Raises as Protocol.score.
    """
    p, truth = check_inputs(probabilities, labels, groups)
    check_threshold(threshold)
    terms = VTF.terms(p, truth, groups, threshold)
    return output_metrics({name: values.sum(axis=0) for name, values in terms.items()})


@dataclass(frozen=True, eq=False)
class Calibration:
    """How often outputs hold that were given a probability, in bins of equal width (a, b] from 0 to 1."""

    count: NDArray[np.int64]
    """(bins,) probabilities in each; the first bin also has the zeros."""
    mean_probability: NDArray[np.float64]
    """(bins,), 0 in an empty one."""
    frequency: NDArray[np.float64]
    """(bins,) the share of labels that are 1, 0 in an empty one."""

    @property
    def error(self) -> float:
        """Return the expected calibration error: |frequency - mean probability| of each bin, weighted by its count
        (Naeini et al. 2015; of yes/no outputs, so that the probability itself is the confidence)."""
        gaps = np.abs(self.frequency - self.mean_probability)
        return float((gaps * self.count).sum() / self.count.sum())


def calibration(probabilities: Floats, labels: Bools, num_bins: int = NUM_BINS) -> Calibration:
    """Return the calibration over all elements of two arrays of one shape. Bins as in scikit-learn."""
    p, truth = probabilities.reshape(-1).astype(np.float64), labels.reshape(-1)
    edges = np.linspace(0, 1, num_bins + 1)
    bins = np.searchsorted(edges[1:-1], p)
    count = np.bincount(bins, minlength=num_bins)
    totals = (np.bincount(bins, weights, minlength=num_bins) for weights in (p, truth.astype(np.float64)))
    mean_probability, frequency = (ratio(total, count) for total in totals)
    return Calibration(count, mean_probability, frequency)


def threshold_curve(probabilities: ArrayLike, labels: ArrayLike, groups: Groups) -> NDArray[np.float64]:
    """Return average vtf precision, recall and F1 at each threshold of THRESHOLD_GRID: (thresholds, 3)."""
    averages = (VTF.score(probabilities, labels, groups, threshold).average for threshold in THRESHOLD_GRID)
    return np.array([[average[metric] for metric in ("precision", "recall", "f1")] for average in averages])


def confusion(probabilities: Floats, labels: Bools) -> NDArray[np.int64]:
    """Return the tracklets by true class (rows) and most probable class: (N, K) of one group, K > 1 -> (K, K)."""
    num_classes = probabilities.shape[1]
    cells = labels.argmax(axis=1) * num_classes + probabilities.argmax(axis=1)  # (N,)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
