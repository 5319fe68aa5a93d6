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


def _terms(probabilities: Floats, labels: Bools, groups: Groups, threshold: float) -> Terms:
    """C is the number of classes of all groups."""
    above = probabilities > probabilities.dtype.type(threshold)  # (N, A)
    predicted, actual = [], []
    for _, columns in groups:
        if columns.stop - columns.start == 1:
            predicted += [~above[:, columns], above[:, columns]]
            actual += [~labels[:, columns], labels[:, columns]]
        else:
            most_probable = probabilities[:, columns].argmax(axis=1, keepdims=True)  # (N, 1)
            predicted.append(most_probable == np.arange(columns.stop - columns.start))  # (N, K)
            actual.append(labels[:, columns])
    classes = {"predicted": np.concatenate(predicted, axis=1), "actual": np.concatenate(actual, axis=1)}  # (N, C)
    classes["hits"] = classes["predicted"] & classes["actual"]
    tracklets = np.ones((len(labels), len(groups)))  # (N, G)
    return {**{name: values.astype(np.float64) for name, values in classes.items()}, "tracklets": tracklets}


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


VIDEOPAR = Protocol("videopar", VIDEOPAR_THRESHOLD, _terms, _scores, True, ("f1", "accuracy"))
