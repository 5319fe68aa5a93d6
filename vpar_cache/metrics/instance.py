"""The protocol `instance`: the tables of EventPAR, and what papers on single images usually print.

An output holds if its probability is above 0.45. All outputs of a tracklet are one set: accuracy is
|predicted and true| / |predicted or true|, precision |predicted and true| / |predicted|, recall
|predicted and true| / |true|, F1 that of the tracklet's own precision and recall; an empty denominator scores 0.
Each is averaged over tracklets. A tracklet without any known label does not count. mA is the mean over all outputs
that have a known label.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vpar_cache.metrics.inputs import Bools, Groups
from vpar_cache.metrics.protocol import (
    Metrics,
    Protocol,
    Terms,
    above_threshold,
    output_answer_terms,
    output_label_terms,
    output_metrics,
    precision_recall_f1,
    ratio,
)

INSTANCE_THRESHOLD = 0.45
_METRICS = ("accuracy", "precision", "recall", "f1")


def _label_terms(labels: Bools, known: Bools, units: Groups) -> Terms:
    terms = output_label_terms(labels, known, units)  # (N, A) each
    return {**terms, "tracklets": np.asarray(known.any(axis=1, keepdims=True))}  # (N, 1)


def _answer_terms(answers: Bools, labels: Bools, known: Bools, units: Groups) -> Terms:
    outputs = output_answer_terms(answers, labels, known)  # (N, A) each
    hits, predicted, positives = (
        np.count_nonzero(values, axis=1, keepdims=True)
        for values in (outputs["hits"], outputs["predicted"], labels)
    )  # (N, 1) each
    return {
        **outputs,
        "accuracy": ratio(hits, predicted + positives - hits),  # (N, 1)
        **precision_recall_f1(hits, predicted, positives),  # (N, 1) each
    }


def _scores(sums: Terms, units: Groups) -> Mapping[str, Metrics]:
    ((name, _),) = units
    found = {metric: ratio(sums[metric][..., 0], sums["tracklets"][..., 0]) for metric in _METRICS}
    has_labels = sums["known"] > 0  # (..., A)
    total = (output_metrics(sums)["mA"] * has_labels).sum(axis=-1)  # (...)
    return {name: {**found, "mA": ratio(total, has_labels.sum(axis=-1))}}


INSTANCE = Protocol(
    "instance",
    INSTANCE_THRESHOLD,
    above_threshold,
    _label_terms,
    _answer_terms,
    _scores,
    False,
    (*_METRICS, "mA"),
    joint=True,
)
