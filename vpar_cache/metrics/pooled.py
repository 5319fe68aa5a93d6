"""The protocol `pooled`: the evaluation of VTFPAR++.

An output holds if its probability is above 0.45. True positives, false positives and false negatives are summed
over all outputs and tracklets of a group; precision, recall and F1 are those of the sums; then the mean over
groups. mA as under `vtf`.
"""

from __future__ import annotations

from collections.abc import Mapping

from vpar_cache.metrics.inputs import Bools, Groups
from vpar_cache.metrics.protocol import (
    Metrics,
    Protocol,
    Terms,
    above_threshold,
    group_sums,
    output_answer_terms,
    output_label_terms,
    output_metrics,
    precision_recall_f1,
)

POOLED_THRESHOLD = 0.45


def _answer_terms(answers: Bools, labels: Bools, known: Bools, groups: Groups) -> Terms:
    return output_answer_terms(answers, labels, known)


def _scores(sums: Terms, groups: Groups) -> Mapping[str, Metrics]:
    pooled = precision_recall_f1(*(group_sums(sums[name], groups) for name in ("hits", "predicted", "positives")))
    accuracy = output_metrics(sums)["mA"]  # (..., A)
    return {
        name: {
            **{metric: values[..., g] for metric, values in pooled.items()},
            "mA": accuracy[..., columns].mean(axis=-1),
        }
        for g, (name, columns) in enumerate(groups)
    }


POOLED = Protocol(
    "pooled",
    POOLED_THRESHOLD,
    above_threshold,
    output_label_terms,
    _answer_terms,
    _scores,
    False,
    ("precision", "recall", "f1", "mA"),
)
