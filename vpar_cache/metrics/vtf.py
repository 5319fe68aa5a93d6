"""The protocol `vtf`: the paper's own rows of its Tables 1 and 2 (Implementation Details).

An output holds if its probability is above 0.45. A group with one output: precision, recall and F1 of the positive
class over all tracklets. A group with several: precision, recall and F1 of each tracklet, averaged over tracklets.
mA of a group is the mean over its outputs (protocol.output_metrics).
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
    ratio,
)

VTF_THRESHOLD = 0.45
_METRICS = ("precision", "recall", "f1")


def _answer_terms(answers: Bools, labels: Bools, known: Bools, groups: Groups) -> Terms:
    outputs = output_answer_terms(answers, labels, known)  # (N, A) each
    counts = (group_sums(values, groups) for values in (outputs["hits"], outputs["predicted"], labels))
    return {**outputs, **precision_recall_f1(*counts)}  # (N, G) each: of the tracklet


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


VTF = Protocol(
    "vtf", VTF_THRESHOLD, above_threshold, output_label_terms, _answer_terms, _scores, False, (*_METRICS, "mA")
)
