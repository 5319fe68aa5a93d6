"""Numbers that averages over groups hide: single outputs, calibration, thresholds, classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpar_cache.metrics.inputs import Bools, Floats, Groups
from vpar_cache.metrics.protocol import output_metrics, ratio, total
from vpar_cache.metrics.scoring import THRESHOLD_GRID
from vpar_cache.metrics.vtf import VTF

NUM_BINS = 10


@dataclass(frozen=True)
class OutputScores:
    """Of the positive class of one output over all tracklets, at the threshold of vtf; fractions and counts."""

    positives: int
    unknown: int
    precision: float
    recall: float
    f1: float
    mA: float  # noqa: N815 - its name in the field
    always_f1: float
    """F1 of saying yes to every tracklet, the best that a constant can do."""


@dataclass(frozen=True)
class Bin:
    """The labels whose probability lies in one of the bins of equal width (a, b] from 0 to 1."""

    labels: int
    mean_probability: float
    frequency: float
    """The share of the labels that are 1."""


@dataclass(frozen=True)
class Details:
    """What the details of a run show beside its scores. Unknown labels have no part in any of it."""

    outputs: tuple[OutputScores, ...]
    """(A,)"""
    calibration: Mapping[str, float]
    """Expected calibration error by group, and of all outputs under ""."""
    prior_calibration: Mapping[str, float]
    """The same of the train rates as probabilities; empty without train labels."""
    bins: tuple[Bin, ...]
    """Of all outputs; their number is NUM_BINS."""
    threshold_curve: tuple[tuple[float, float, float], ...]
    """Average vtf precision, recall and F1 at each threshold of THRESHOLD_GRID."""
    confusions: Mapping[str, tuple[tuple[int, ...], ...]]
    """By group of several outputs: tracklets by true class (rows) and most probable class."""


def details(
    probabilities: Floats, labels: Bools, known: Bools, groups: Groups, rates: NDArray[np.float64] | None
) -> Details:
    """Return the details of checked arrays, (N, A) each. `rates`: the train rates (A,), where there are any."""
    prior = None if rates is None else np.broadcast_to(rates, labels.shape)  # (N, A)
    bins = calibration(probabilities[known], labels[known])
    return Details(
        outputs=tuple(_outputs(probabilities, labels, known, groups)),
        calibration=_errors(probabilities, labels, known, groups),
        prior_calibration={} if prior is None else _errors(prior, labels, known, groups),
        bins=tuple(
            Bin(int(count), float(mean), float(share))
            for count, mean, share in zip(bins.count, bins.mean_probability, bins.frequency, strict=True)
        ),
        threshold_curve=threshold_curve(probabilities, labels, known, groups),
        confusions={
            name: tuple(
                map(tuple, confusion(probabilities[:, columns], labels[:, columns], known[:, columns]).tolist())
            )
            for name, columns in groups
            if columns.stop - columns.start > 1
        },
    )


def _outputs(probabilities: Floats, labels: Bools, known: Bools, groups: Groups) -> list[OutputScores]:
    answers = VTF.answers(probabilities, groups, VTF.threshold)  # (N, A)
    scores = output_metrics(total(VTF.terms(answers, labels, known, groups)))
    positives, with_label = labels.sum(axis=0), known.sum(axis=0)  # (A,) each
    always = ratio(2 * positives, positives + with_label)  # (A,)
    return [
        OutputScores(
            positives=int(positives[a]),
            unknown=int(len(known) - with_label[a]),
            precision=float(scores["precision"][a]),
            recall=float(scores["recall"][a]),
            f1=float(scores["f1"][a]),
            mA=float(scores["mA"][a]),
            always_f1=float(always[a]),
        )
        for a in range(labels.shape[1])
    ]


def _errors(probabilities: Floats, labels: Bools, known: Bools, groups: Groups) -> dict[str, float]:
    errors = {}
    for name, columns in [*groups, ("", slice(None))]:
        chosen = known[:, columns]  # (N, K)
        if chosen.any():
            errors[name] = calibration(probabilities[:, columns][chosen], labels[:, columns][chosen]).error
    return errors


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


def threshold_curve(
    probabilities: Floats, labels: Bools, known: Bools, groups: Groups
) -> tuple[tuple[float, float, float], ...]:
    """Return average vtf precision, recall and F1 at each threshold of THRESHOLD_GRID."""
    averages = (VTF.score(probabilities, labels, groups, threshold, known=known) for threshold in THRESHOLD_GRID)
    return tuple((one.average["precision"], one.average["recall"], one.average["f1"]) for one in averages)


def confusion(probabilities: Floats, labels: Bools, known: Bools) -> NDArray[np.int64]:
    """Return the tracklets by true class (rows) and most probable class: (N, K) of one group, K > 1 -> (K, K)."""
    num_classes = probabilities.shape[1]
    cells = labels.argmax(axis=1) * num_classes + probabilities.argmax(axis=1)  # (N,)
    return np.bincount(cells[known[:, 0]], minlength=num_classes**2).reshape(num_classes, num_classes)
