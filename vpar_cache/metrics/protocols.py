"""numpy in, scores out: the two protocols of the field, which must never share a column.

`vtf` (the paper's own rows) thresholds every output. `videopar` (the rows 3DCNN, CNN-RNN and VideoPAR of its
Tables 1 and 2) picks one class a group. Their F1 are different quantities, and no table may mix them.

Everywhere N is the number of tracklets, A of outputs; scores are fractions in [0, 1]; a ratio with an empty
denominator is 0; the average of a protocol is the unweighted mean over groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as short_repr
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpar_cache.errors import DataError, UserError

Groups = Sequence[tuple[str, slice]]
"""Group names with their columns, in order and without gaps: [(g.name, s) for g, s in schema.slices()]."""

VTF_THRESHOLD = 0.45
VIDEOPAR_THRESHOLD = 0.5

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ProtocolScores:
    """Scores of one protocol at one threshold, by metric name.

    vtf: precision, recall, f1, f1_of_means, mA. videopar: f1, accuracy. `f1_of_means` is the harmonic mean of
    the precision and recall beside it, which PAR toolboxes print as F1; it is never below `f1`.
    """

    protocol: str
    threshold: float
    groups: Mapping[str, Mapping[str, float]]
    average: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; from_dict is the inverse."""
        return {
            "protocol": self.protocol,
            "threshold": self.threshold,
            "groups": {name: dict(scores) for name, scores in self.groups.items()},
            "average": dict(self.average),
        }

    @classmethod
    def from_dict(cls, data: Any) -> ProtocolScores:
        """Raises DataError for a missing field or a score that is no fraction."""
        try:
            groups = {str(name): _fractions(scores) for name, scores in data["groups"].items()}
            return cls(str(data["protocol"]), _fraction(data["threshold"]), groups, _fractions(data["average"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"stored scores do not fit: {error!r}; score the predictions again") from error


def _fractions(scores: Any) -> dict[str, float]:
    return {str(metric): _fraction(value) for metric, value in scores.items()}


def _fraction(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        shown = short_repr(value)
        raise DataError(f"stored score {shown} must be a fraction from 0 to 1; score the predictions again")
    return float(value)


def check_inputs(
    probabilities: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    one_class: bool = False,
    names: Sequence[str] | None = None,
) -> tuple[Floats, Bools]:
    """(N, A) probabilities as floats and labels as booleans, or a DataError that names the first bad value.

    `one_class` also demands exactly one 1 in every group of several outputs. `names` are the N tracklet ids,
    for the message.
    """
    try:
        p, y = np.asarray(probabilities), np.asarray(labels)
    except ValueError as error:
        raise DataError(f"rows of unequal length: all must have one value per output ({error})") from error
    if p.ndim != 2 or p.shape != y.shape:
        raise DataError(
            f"probabilities have shape {p.shape} and labels {y.shape}: both must be (tracklets, outputs); "
            f"give one row per tracklet and one column per output"
        )
    if p.dtype.kind not in "fiub" or y.dtype.kind not in "fiub":
        raise DataError(f"probabilities are {p.dtype} and labels {y.dtype}: both must be numbers; convert them")
    if len(p) == 0:
        raise DataError("0 tracklets: scores need at least one; check the split")
    _check_groups(groups, p.shape[1])
    if p.dtype.kind != "f":
        p = p.astype(np.float64)

    def where(row: int, column: int) -> str:
        group = next(name for name, columns in groups if column < columns.stop)
        tracklet = f"row {row}" if names is None else f"tracklet {names[row]!r}"
        return f"{tracklet}, output {column} ({group})"

    fits = (p >= 0) & (p <= 1)  # a NaN fails both comparisons
    if not fits.all():
        bad = np.argwhere(~fits)
        raise DataError(
            f"{where(*bad[0])}: probability {p[tuple(bad[0])]} must lie in 0 to 1; "
            f"apply a sigmoid to logits, and mend NaN where they arise"
        )
    truth: Bools = y == 1
    fits = truth | (y == 0)
    if not fits.all():
        bad = np.argwhere(~fits)
        raise DataError(f"{where(*bad[0])}: label {y[tuple(bad[0])]} must be 0 or 1; binarise the labels")
    if one_class:
        _check_one_class(truth, groups, where)
    return p, truth


def _check_one_class(truth: Bools, groups: Groups, where: Callable[[int, int], str]) -> None:
    counts = group_counts(truth, groups)  # (N, G)
    for count, (_, columns) in zip(counts.T, groups, strict=True):
        wrong = np.flatnonzero(count != 1)
        if columns.stop - columns.start > 1 and len(wrong):
            raise DataError(
                f"{where(int(wrong[0]), columns.start)}: {count[wrong[0]]} labels of the group are 1, but a "
                f"tracklet has exactly one class of it; mend the labels"
            )


def _check_groups(groups: Groups, num_outputs: int) -> None:
    start = 0
    for name, columns in groups:
        if columns.start != start or columns.stop <= start or columns.step not in (None, 1):
            raise DataError(f"group {name!r} takes {columns}, but must start at {start}; give groups in order")
        start = columns.stop
    if start != num_outputs:
        raise DataError(
            f"the arrays have {num_outputs} outputs, but the groups take {start}; "
            f"give the schema that the predictions were made with"
        )


def check_threshold(threshold: float) -> None:
    if not (math.isfinite(threshold) and 0 <= threshold <= 1):
        raise UserError(f"threshold {threshold} must lie in 0 to 1; the paper's is {VTF_THRESHOLD}")


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Elementwise, 0 where the denominator is empty (the numerator is 0 there too)."""
    return np.asarray(numerator, np.float64) / np.maximum(denominator, 1)


def group_counts(values: Bools, groups: Groups) -> NDArray[np.int64]:
    """(N, A) -> (N, G): how many outputs of each group are true. A product of matrices, since numpy is slow
    to sum rows of a few columns; float32 is exact up to 2^24."""
    member = np.zeros((values.shape[1], len(groups)), np.float32)  # (A, G)
    for g, (_, columns) in enumerate(groups):
        member[columns, g] = 1
    return (values.astype(np.float32) @ member).astype(np.int64)


def output_counts(values: Bools) -> NDArray[np.int64]:
    """(N, A) -> (A,): in how many tracklets each output is true. A product, as in group_counts."""
    return (np.ones(len(values)) @ values.astype(np.float64)).astype(np.int64)


def mean_accuracy(predictions: Bools, labels: ArrayLike) -> NDArray[np.float64]:
    """(N, A) decisions and 0/1 labels -> (A,): (TPR + TNR) / 2 of each output.

    An output without a positive (or negative) tracklet has TPR (or TNR) 0, as in the PAR toolboxes.
    """
    truth = np.asarray(labels).astype(bool)
    positives, hits = output_counts(truth), output_counts(predictions & truth)  # (A,) each
    rejections = len(truth) - output_counts(predictions | truth)
    return (ratio(hits, positives) + ratio(rejections, len(truth) - positives)) / 2


def _mean_over_groups(groups: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    metrics = next(iter(groups.values()))
    return {metric: sum(scores[metric] for scores in groups.values()) / len(groups) for metric in metrics}


def _with_f1_of_means(scores: dict[str, float]) -> dict[str, float]:
    total = scores["precision"] + scores["recall"]
    scores["f1_of_means"] = 2 * scores["precision"] * scores["recall"] / total if total else 0.0
    return scores


def _vtf(predictions: Bools, truth: Bools, groups: Groups, threshold: float) -> ProtocolScores:
    output_accuracy = mean_accuracy(predictions, truth)  # (A,)
    counts = [group_counts(x, groups) for x in (predictions & truth, predictions, truth)]  # (N, G) each
    scores: dict[str, Mapping[str, float]] = {}
    for g, (name, columns) in enumerate(groups):
        # One output counts over all tracklets: one ratio. Several count within each tracklet: N ratios.
        single = columns.stop - columns.start == 1
        hits, predicted, actual = (count[:, g].sum() if single else count[:, g] for count in counts)
        scores[name] = _with_f1_of_means(
            {
                "precision": float(ratio(hits, predicted).mean()),
                "recall": float(ratio(hits, actual).mean()),
                "f1": float(ratio(2 * hits, predicted + actual).mean()),
                "mA": float(output_accuracy[columns].mean()),
            }
        )
    return ProtocolScores("vtf", float(threshold), scores, _with_f1_of_means(_mean_over_groups(scores)))


def vtf_scores(probabilities: ArrayLike, labels: ArrayLike, groups: Groups, threshold: float) -> ProtocolScores:
    """The paper's own protocol (its rows of Tables 1 and 2): an output holds if its probability > threshold.

    A group with one output: precision, recall, F1 of the positive class over all tracklets. With several: of
    each tracklet, then averaged over tracklets. The comparison is made in the dtype of the probabilities, so
    that a float32 0.45 is a tie, not above.

    Raises DataError for arrays (N, A) that do not fit, UserError for a threshold outside 0 to 1.
    """
    p, truth = check_inputs(probabilities, labels, groups)
    check_threshold(threshold)
    return _vtf(p > p.dtype.type(threshold), truth, groups, threshold)


def classes(values: NDArray[Any], threshold: float) -> tuple[NDArray[np.intp], int]:
    """(N, K) of one group -> the class of each tracklet (N,), the first of equals, and how many there are."""
    if values.shape[1] == 1:
        return (values[:, 0] > values.dtype.type(threshold)).astype(np.intp), 2
    return values.argmax(axis=1), values.shape[1]


def videopar_scores(
    probabilities: ArrayLike, labels: ArrayLike, groups: Groups, threshold: float
) -> ProtocolScores:
    """The protocol of the VideoPAR rows (Tables 1 and 2): one class a group, macro F1 over all its classes.

    A group with several outputs takes its most probable one; with one output the classes are 0 and 1
    (probability > threshold). A class absent from both truth and prediction scores 0 and still counts.

    Raises DataError for arrays (N, A) that do not fit or a group without exactly one true class, UserError
    for a threshold outside 0 to 1.
    """
    p, truth = check_inputs(probabilities, labels, groups, one_class=True)
    check_threshold(threshold)
    scores: dict[str, Mapping[str, float]] = {}
    for name, columns in groups:
        predicted, num_classes = classes(p[:, columns], threshold)
        actual, _ = classes(truth[:, columns].astype(np.float64), VIDEOPAR_THRESHOLD)
        counts = np.bincount(actual * num_classes + predicted, minlength=num_classes**2)
        confusion = counts.reshape(num_classes, num_classes)  # (true class, predicted class)
        hits = confusion.diagonal()
        f1 = ratio(2 * hits, confusion.sum(axis=0) + confusion.sum(axis=1))
        scores[name] = {"f1": float(f1.mean()), "accuracy": float(hits.sum() / len(p))}
    return ProtocolScores("videopar", float(threshold), scores, _mean_over_groups(scores))


def best_threshold(
    probabilities: ArrayLike, labels: ArrayLike, groups: Groups, candidates: Iterable[float]
) -> float:
    """The candidate with the highest average vtf F1; of equals, the lowest. Choose on validation people only.

    Raises UserError for no candidate or one outside 0 to 1, DataError as vtf_scores.
    """
    p, truth = check_inputs(probabilities, labels, groups)
    thresholds = sorted(candidates)
    if not thresholds:
        raise UserError("0 candidate thresholds: there must be at least one; give a grid from 0 to 1")
    for threshold in thresholds:
        check_threshold(threshold)
    f1 = [_vtf(p > p.dtype.type(t), truth, groups, t).average["f1"] for t in thresholds]
    return float(thresholds[int(np.argmax(f1))])


def score_block(
    probabilities: ArrayLike, labels: ArrayLike, groups: Groups, selected_threshold: float | None
) -> dict[str, Any]:
    """Both protocols at their own thresholds, as plain JSON: vtf, videopar, and where a threshold was chosen
    on validation people also vtf_selected at that one. Raises as vtf_scores and videopar_scores."""
    block = {"vtf": vtf_scores(probabilities, labels, groups, VTF_THRESHOLD).to_dict()}
    if selected_threshold is not None:
        block["vtf_selected"] = vtf_scores(probabilities, labels, groups, selected_threshold).to_dict()
    block["videopar"] = videopar_scores(probabilities, labels, groups, VIDEOPAR_THRESHOLD).to_dict()
    return block
