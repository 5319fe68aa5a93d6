"""The protocol `vtf`: the paper's own rows of its Tables 1 and 2 (Implementation Details).

An output holds if its probability is above 0.45. A group with one output: precision, recall and F1 of the positive
class over all tracklets. A group with several: precision, recall and F1 of each tracklet, averaged over tracklets.
mA of an output is (TPR + TNR) / 2; one without a positive (or negative) tracklet has TPR (or TNR) 0, as in the PAR
toolboxes. mA of a group is the mean over its outputs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vpar_cache.metrics.inputs import Bools, Floats, Groups
from vpar_cache.metrics.protocol import Metrics, Numbers, Protocol, Terms, group_sums, precision_recall_f1, ratio

VTF_THRESHOLD = 0.45
_METRICS = ("precision", "recall", "f1")


def _terms(probabilities: Floats, labels: Bools, groups: Groups, threshold: float) -> Terms:
    predictions = probabilities > probabilities.dtype.type(threshold)  # (N, A)
    outputs = {
        "hits": predictions & labels,
        "predicted": predictions,
        "positives": labels,
        "rejections": ~(predictions | labels),
        "negatives": ~labels,
    }  # (N, A) each
    counts = (group_sums(outputs[name], groups) for name in ("hits", "predicted", "positives"))  # (N, G) each
    return {
        **{name: values.astype(np.float64) for name, values in outputs.items()},
        **precision_recall_f1(*counts),  # (N, G) each: of the tracklet
        "tracklets": np.ones((len(labels), len(groups))),  # (N, G)
    }


def output_metrics(sums: Terms) -> dict[str, Numbers]:
    """Return precision, recall and F1 of the positive class, and mA, of each output: (..., A) each."""
    rates = ratio(sums["hits"], sums["positives"]) + ratio(sums["rejections"], sums["negatives"])  # (..., A)
    return {**precision_recall_f1(sums["hits"], sums["predicted"], sums["positives"]), "mA": rates / 2}


def _scores(sums: Terms, groups: Groups) -> Mapping[str, Metrics]:
    outputs = output_metrics(sums)
    scores = {}
    for g, (name, columns) in enumerate(groups):
        if columns.stop - columns.start == 1:
            found = {metric: outputs[metric][..., columns.start] for metric in _METRICS}
        else:
            found = {metric: ratio(sums[metric][..., g], sums["tracklets"][..., g]) for metric in _METRICS}
        scores[name] = {**found, "mA": outputs["mA"][..., columns].mean(axis=-1)}
    return scores


VTF = Protocol("vtf", VTF_THRESHOLD, _terms, _scores, False, _METRICS)
