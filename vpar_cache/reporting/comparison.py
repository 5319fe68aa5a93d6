"""The difference between two runs on the same test tracklets, with 95 % intervals over people."""

from __future__ import annotations

from typing import Any

import numpy as np

from vpar_cache.errors import CacheError
from vpar_cache.metrics.intervals import difference_block
from vpar_cache.metrics.scoring import THRESHOLDS
from vpar_cache.rendering.sheets import Column, Details, Row, Sheet, Value
from vpar_cache.runs.predictions import RunPredictions, read_test_predictions
from vpar_cache.runs.scores import RunScores

_MEND = "compare runs on the same cache and split"
_AVERAGES = {"average precision": "precision", "average recall": "recall", "average accuracy": "accuracy",
             "average F1": "f1"}  # fmt: skip


def compare_runs(first: tuple[RunScores, str, str], second: tuple[RunScores, str, str]) -> Details:
    """The second's scores less the first's. Each is a run, its name and its label (run_details).

    Paired: the same people are drawn for both. Raises CacheError for runs of other tracklets, labels or
    attributes.
    """
    (one, one_name, one_label), (two, two_name, two_label) = first, second
    if one.outputs != two.outputs:
        raise CacheError(
            f"{two.folder} has other attributes ({two.schema.name}, {two.schema.num_outputs} outputs) than "
            f"{one.folder} ({one.schema.name}, {one.schema.num_outputs}); {_MEND}"
        )
    a, b = read_test_predictions(one), read_test_predictions(two)
    order = _same_tracklets(one, a, two, b)
    groups = [(group.name, columns) for group, columns in one.schema.slices()]
    block = difference_block(a.probabilities, b.probabilities[order], a.labels, groups, a.person_ids)
    columns = tuple(
        Column(f"{protocol} {heading}", metric, protocol, THRESHOLDS[protocol], is_signed=True)
        for protocol in THRESHOLDS
        for heading, metric in (("difference", "difference"), ("95 %", "difference_95"))
    )
    rows = [Row(name, f"{name} F1", None, _values(block, "groups", name, "f1")) for name, _ in groups]
    rows += [Row("average", label, None, _values(block, "average", label, m)) for label, m in _AVERAGES.items()]
    title = (
        f"{two_label} less {one_label}, {one.place}: F1 of each group and averages, in points of percent; vtf, "
        f"probability > {THRESHOLDS['vtf']:g}, and videopar"
    )
    sheet = Sheet("comparison", title, "Score", columns, tuple(rows))
    weights = one.weights if one.weights == two.weights else f"{two.weights}, {one.weights}"
    return Details(
        one.place,
        f"{two_name} less {one_name}",
        "comparison",
        weights,
        one.random_weights or two.random_weights,
        (sheet,),
        (_note(block),),
    )


def _same_tracklets(one: RunScores, a: RunPredictions, two: RunScores, b: RunPredictions) -> Any:
    """Rows of `b` in the order of `a` (N,)."""
    row_of = {name: row for row, name in enumerate(b.tracklet_ids)}
    missing = [name for name in a.tracklet_ids if name not in row_of]
    if missing or len(a.tracklet_ids) != len(b.tracklet_ids):
        alien = missing or sorted(set(b.tracklet_ids) - set(a.tracklet_ids))
        raise CacheError(
            f"{two.folder} ({len(b.tracklet_ids)} test tracklets) was not tested on the tracklets of {one.folder} "
            f"({len(a.tracklet_ids)}): only one has {alien[0]!r}; {_MEND}"
        )
    order = np.array([row_of[name] for name in a.tracklet_ids])
    differs = (a.labels != b.labels[order]).any(axis=1) | (a.person_ids != b.person_ids[order])
    if differs.any():
        name = a.tracklet_ids[int(differs.argmax())]
        raise CacheError(
            f"{two.folder} has another person or other labels for tracklet {name!r} than {one.folder}; {_MEND}"
        )
    return order


def _values(block: dict[str, Any], part: str, name: str, metric: str) -> tuple[Value, ...]:
    values: list[Value] = []
    for protocol in THRESHOLDS:
        scores = block[protocol][part]
        found = (scores[name] if part == "groups" else scores).get(metric)
        interval = found["interval"] if found else None
        values += [found["difference"] if found else None, None if interval is None else tuple(interval)]
    return tuple(values)


def _note(block: dict[str, Any]) -> str:
    if block["people"] == 1:
        return "comparison: one person only, so there is nobody to resample and no interval."
    return (
        f"comparison: {block['method']}, {block['resamples']} resamples of {block['people']} people, the same for "
        "both runs. An interval that holds 0 leaves open which run is better; of many intervals, one in twenty "
        "leaves 0 out by chance. They say nothing of other training seeds."
    )
