"""The protocol `videopar`: the rows 3DCNN, CNN-RNN and VideoPAR of the paper's Tables 1 and 2.

Each group has one class. A group with several outputs takes its most probable one (of equals, the first); with one
output the classes are 0 and 1 (probability above 0.5). F1 is the macro average over all classes of the group: a
class that is absent from both truth and prediction scores 0 and still counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vpar_cache.metrics.inputs import Bools, Floats, Groups
from vpar_cache.metrics.protocol import Metrics, Protocol, Terms, ratio

VIDEOPAR_THRESHOLD = 0.5


def _answers(probabilities: Floats, groups: Groups, threshold: float) -> Bools:
    """Return the class of each group as 1 of K: (N, C), where C is the number of classes of all groups."""
    above = probabilities > probabilities.dtype.type(threshold)  # (N, A)
    classes = []
    for _, columns in groups:
        if columns.stop - columns.start == 1:
            classes += [~above[:, columns], above[:, columns]]  # (N, 1) each
        else:
            most_probable = probabilities[:, columns].argmax(axis=1, keepdims=True)  # (N, 1)
            classes.append(most_probable == np.arange(columns.stop - columns.start))  # (N, K)
    return np.concatenate(classes, axis=1)


def _actual(labels: Bools, known: Bools, groups: Groups) -> Bools:
    """Return the true classes (N, C); none where the group is unknown."""
    classes = []
    for _, columns in groups:
        if columns.stop - columns.start == 1:
            classes.append(known[:, columns] & ~labels[:, columns])  # (N, 1)
        classes.append(labels[:, columns])  # (N, K)
    return np.concatenate(classes, axis=1)


def _label_terms(labels: Bools, known: Bools, groups: Groups) -> Terms:
    starts = [columns.start for _, columns in groups]
    return {"actual": _actual(labels, known, groups), "tracklets": known[:, starts]}  # (N, C), (N, G)


def _answer_terms(answers: Bools, labels: Bools, known: Bools, groups: Groups) -> Terms:
    sizes = [max(columns.stop - columns.start, 2) for _, columns in groups]
    starts = [columns.start for _, columns in groups]
    counts = answers & np.repeat(known[:, starts], sizes, axis=1)  # (N, C)
    return {"predicted": counts, "hits": counts & _actual(labels, known, groups)}  # (N, C) each


def _scores(sums: Terms, groups: Groups) -> Mapping[str, Metrics]:
    f1 = ratio(2 * sums["hits"], sums["predicted"] + sums["actual"])  # (..., C)
    scores = {}
    start = 0
    for g, (name, columns) in enumerate(groups):
        stop = start + max(columns.stop - columns.start, 2)
        hits = sums["hits"][..., start:stop].sum(axis=-1)
        accuracy = ratio(hits, sums["tracklets"][..., g])
        scores[name] = {"f1": f1[..., start:stop].mean(axis=-1), "accuracy": accuracy}
        start = stop
    return scores


VIDEOPAR = Protocol(
    "videopar", VIDEOPAR_THRESHOLD, _answers, _label_terms, _answer_terms, _scores, True, ("f1", "accuracy")
)
