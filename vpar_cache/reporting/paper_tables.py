"""Tables 1 and 2 of one test split: a published method, a prior and a run are rows of the same kind.

A number stands beside another only if protocol, test split and attributes agree: report.py brings together the
systems of one split, and here each protocol has tables of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vpar_cache.metrics.scoring import SELECTED
from vpar_cache.metrics.vtf import VTF_THRESHOLD
from vpar_cache.rendering.tables import Number, Table, cell, grid
from vpar_cache.reporting.numbers import AVERAGES, GROUPS, with_marks

_RULES = {
    "vtf": f"vtf, probability > {VTF_THRESHOLD:g}",
    "videopar": "videopar",
    SELECTED: "vtf at a threshold chosen on validation people",
}
"""Each protocol with tables of its own, and its rule in words."""
_COLUMNS = {"precision": "P", "recall": "R", "f1": "F1", "accuracy": "acc"}
_FURTHER = {"f1_of_means": "F1 of means", "mA": "mA"}
"""With details only."""
UNTRAINED = "zero-shot"
"""With random weights its scores have no meaning, since nothing at all was trained."""

_System = tuple[str, str]
"""Name and source."""


def paper_tables(numbers: Sequence[Number], place: str, with_details: bool) -> list[Table]:
    """Return Table 1 (averages) of each protocol, then Table 2 (F1 of each group) of each protocol."""
    tables = []
    for draw in (_table_1, _table_2):
        for protocol in _RULES:
            chosen = [number for number in numbers if number.protocol == protocol]
            if table := draw(chosen, protocol, place, with_details):
                tables.append(table)
    return tables


def _table_1(numbers: Sequence[Number], protocol: str, place: str, with_details: bool) -> Table | None:
    """Return systems by metrics; None where no system has averages."""
    chosen = [number for number in numbers if number.table == AVERAGES]
    systems = grid(chosen, _system, lambda number: number.metric)
    if not systems:
        return None
    found = {number.metric for number in chosen}
    has_interval = any(number.metric == "f1" and number.low is not None for number in chosen)
    columns = [(heading, metric, False) for metric, heading in _COLUMNS.items() if metric in found]
    if has_interval:
        columns.insert([metric for _, metric, _ in columns].index("f1") + 1, ("F1 95 %", "f1", True))
    if with_details:
        columns += [(heading, metric, False) for metric, heading in _FURTHER.items() if metric in found]
    labels, caption = _labels(chosen)
    rows = tuple(
        (labels[system], *(cell(row.get(metric), interval) for _, metric, interval in columns))
        for system, row in systems.items()
    )
    title = f"Table 1. {place}: averages over groups under {_RULES[protocol]}, in percent"
    header = ("System", *(heading for heading, _, _ in columns))
    return Table(title, header, rows, caption=caption, systems_in="rows")


def _table_2(numbers: Sequence[Number], protocol: str, place: str, _: bool) -> Table | None:
    """Return groups by systems; None where no system has scores of groups."""
    groups = [number for number in numbers if number.table == GROUPS and number.metric == "f1"]
    with_groups = {_system(number) for number in groups}
    chosen = groups + [
        number
        for number in numbers
        if number.table == AVERAGES and number.metric == "f1" and _system(number) in with_groups
    ]
    if not chosen:
        return None
    labels, caption = _labels(chosen)
    rows = tuple(
        (group, *(cell(row.get(system)) for system in labels))
        for (_, group), row in grid(chosen, lambda number: (number.table, number.group), _system).items()
    )
    title = f"Table 2. {place}: F1 of each group under {_RULES[protocol]}, in percent"
    return Table(
        title, ("Group", *labels.values()), rows, caption=caption, systems_in="columns", last_is_average=True
    )


def _system(number: Number) -> _System:
    return number.system, number.source


def _labels(numbers: Iterable[Number]) -> tuple[Mapping[_System, str], str]:
    """Return the label of each system with what must be known beside its numbers, and what all runs share."""
    marks: dict[_System, list[str]] = {}
    for number in numbers:
        marks.setdefault(_system(number), _marks(number))
    of_runs = [marks for (_, source), marks in marks.items() if source == "run"]
    shared = [mark for mark in of_runs[0] if all(mark in other for other in of_runs)] if of_runs else []
    labels = {
        (name, source): with_marks(name, [m for m in marks if source != "run" or m not in shared])
        for (name, source), marks in marks.items()
    }
    return labels, f"All runs: {', '.join(shared)}." if shared else ""


def _marks(number: Number) -> list[str]:
    """Return what must be known beside a system's numbers: what it is, random weights, a chosen threshold."""
    marks = ["published"] if number.source == "published" else number.kind.split(", ") if number.kind else []
    if number.weights.startswith("random"):
        meaningless = number.kind.startswith(UNTRAINED)
        marks.append("random weights: without meaning" if meaningless else "random weights")
    if number.protocol == SELECTED:
        marks.append(f"threshold {number.threshold:g}")
    return marks
