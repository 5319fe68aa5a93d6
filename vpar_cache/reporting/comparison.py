"""The difference between two runs on the same test tracklets, with 95 % intervals over people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vpar_cache.errors import CacheError
from vpar_cache.metrics.intervals import difference_block
from vpar_cache.metrics.scoring import THRESHOLDS, protocols_of
from vpar_cache.rendering.tables import POINTS, Column, Notes, Number, Part, metric_table
from vpar_cache.reporting.numbers import Named, run_label
from vpar_cache.runs.finished import FinishedRun
from vpar_cache.runs.predictions import RunPredictions, read_test_predictions

_FIX = "compare runs on the same cache and split"
_AVERAGES = {"average precision": "precision", "average recall": "recall", "average accuracy": "accuracy",
             "average mA": "mA", "average F1": "f1"}  # fmt: skip


def compare_runs(first: tuple[FinishedRun, str], second: tuple[FinishedRun, str]) -> Part:
    """Return the second's scores less the first's. Each is a run and what the report calls it.

    Paired: the same people are drawn for both. Raises CacheError for runs of other tracklets, labels or
    attributes.
    """
    (one, one_name), (two, two_name) = first, second
    if one.outputs != two.outputs:
        raise CacheError(
            f"{two.folder} has other attributes ({two.schema.name}, {two.schema.num_outputs} outputs) than "
            f"{one.folder} ({one.schema.name}, {one.schema.num_outputs}); {_FIX}"
        )
    a, b = read_test_predictions(one), read_test_predictions(two)
    order = _same_tracklets(one, a, two, b)
    groups = one.schema.named_slices()
    people = None if one.num_people is None else a.person_ids  # (N,)
    both = a.probabilities, b.probabilities[order]
    block = difference_block(*both, a.labels, groups, people, known=a.known, unit=one.unit)
    weights = one.weights if one.weights == two.weights else f"{two.weights}, {one.weights}"
    about = {"dataset": one.dataset, "split": one.split, "system": f"{two_name} less {one_name}",
             "weights": weights, "n": one.num_tracklets}  # fmt: skip
    numbers = tuple(_numbers(block, [name for name, _ in groups], about))
    columns = [
        Column(f"{protocol} {heading}", "difference", protocol, "interval" if heading == "95 %" else "value")
        for protocol in protocols_of(one.unit)
        for heading in ("difference", "95 %")
    ]
    title = f"{run_label(two, two_name)} less {run_label(one, one_name)}"
    what = "F1 of each group and averages, in points of percent, under each protocol"
    table = metric_table(f"{title}: {what}", "Score", numbers, columns)
    return Part(title, numbers, (table, Notes((_note(block),))), group="Differences between runs")


def _same_tracklets(one: FinishedRun, a: RunPredictions, two: FinishedRun, b: RunPredictions) -> Any:
    """Return the rows of `b` in the order of `a` (N,)."""
    row_of = {name: row for row, name in enumerate(b.tracklet_ids)}
    missing = [name for name in a.tracklet_ids if name not in row_of]
    if missing or len(a.tracklet_ids) != len(b.tracklet_ids):
        alien = missing or sorted(set(b.tracklet_ids) - set(a.tracklet_ids))
        raise CacheError(
            f"{two.folder} ({len(b.tracklet_ids)} test tracklets) was not tested on the tracklets of {one.folder} "
            f"({len(a.tracklet_ids)}): only one has {alien[0]!r}; {_FIX}"
        )
    order = np.array([row_of[name] for name in a.tracklet_ids])  # (N,)
    differs = a.person_ids != b.person_ids[order]  # (N,)
    for ours, theirs in ((a.labels, b.labels), (a.known, b.known)):
        differs |= (ours != theirs[order]).any(axis=1)  # (N,)
    if differs.any():
        name = a.tracklet_ids[int(differs.argmax())]
        raise CacheError(
            f"{two.folder} has another person or other labels for tracklet {name!r} than {one.folder}; {_FIX}"
        )
    return order


def _numbers(block: dict[str, Any], groups: Sequence[str], about: dict[str, Any]) -> Iterator[Number]:
    rows = [(name, f"{name} F1", "f1") for name in groups]
    rows += [("average", label, metric) for label, metric in _AVERAGES.items()]
    for row, (group, item, metric) in enumerate(rows):
        for protocol, threshold in THRESHOLDS.items():
            scores = block[protocol]["groups"].get(group, {}) if row < len(groups) else block[protocol]["average"]
            if found := scores.get(metric):
                low, high = (100 * end for end in found["interval"]) if found["interval"] else (None, None)
                yield Number(
                    table="comparison", source="comparison", protocol=protocol, threshold=threshold, group=group,
                    item=item, metric="difference", value=100 * found["difference"], low=low, high=high,
                    unit=POINTS, **about,
                )  # fmt: skip


def _note(block: dict[str, Any]) -> str:
    if block["number"] == 1:
        return "comparison: one person only, so there is nobody to resample and no interval."
    return (
        f"comparison: percentile bootstrap over {block['over']}, 95 %, {block['resamples']} resamples of "
        f"{block['number']} {block['over']}, the same for both runs. An interval that contains 0 does not show "
        "which run is better; of many intervals, about one in twenty excludes 0 by chance. Other training seeds "
        "are not included."
    )


def comparable(first: Sequence[Named], runs: Sequence[Named]) -> Iterator[tuple[Named, Named]]:
    """Yield each later run with the first run, on the test sets that both have."""
    for folder in dict.fromkeys(run.folder for run, _ in runs[len(first) :]):
        later = [named for named in runs if named[0].folder == folder]
        same = [(one, two) for one in first for two in later if one[0].rows == two[0].rows]
        yield from same or [(first[0], later[0])]  # which cannot be compared: the error says why
