"""Tables 1 and 2 of one test split: a published method, the best constant and a run are rows of the same kind.

A number stands beside another only if protocol, test rows and attributes agree: report.py brings together the
systems of one test split, and here each protocol has tables of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vpar_cache.metrics.scoring import SELECTED, THRESHOLDS, is_mean_accuracy_first, protocols_of
from vpar_cache.rendering.tables import MISSING, Number, Shown, Table, cell, cells_and_bars, grid
from vpar_cache.reporting.numbers import AVERAGES, GROUPS, with_marks

_RULES = {
    "vtf": f"vtf, probability > {THRESHOLDS['vtf']:g}",
    "videopar": "videopar",
    SELECTED: "vtf at a threshold chosen on validation {who}",
    "pooled": f"pooled, probability > {THRESHOLDS['pooled']:g}",
    "instance": f"instance, probability > {THRESHOLDS['instance']:g}",
}
"""Each protocol with tables of its own, and its rule in words."""
_COLUMNS: tuple[tuple[str, str, Shown], ...] = (
    ("acc", "accuracy", "value"),
    ("P", "precision", "value"),
    ("R", "recall", "value"),
    ("F1", "f1", "value"),
    ("F1 95 %", "f1", "interval"),
    ("mA", "mA", "value"),
    ("F1 shuffled", "f1", "shuffled"),
    ("p", "f1", "p"),
)
"""Heading, metric, and what is shown of it. A column without any number is left out."""
_FURTHER: tuple[tuple[str, str, Shown], ...] = (
    ("F1 of means", "f1_of_means", "value"),
    ("F1 shuffled 95 %", "f1", "shuffled_range"),
)
"""With details only; F1 of means also where a published row has no other F1."""
UNTRAINED = "zero-shot"
"""With random weights its scores have no meaning, since nothing at all was trained."""

_System = tuple[str, str]
"""Name and source."""


def paper_tables(numbers: Sequence[Number], place: str, with_details: bool, unit: str = "tracklet") -> list[Table]:
    """Return Table 1 (averages) of each protocol, then Table 2 (F1 of each group) of each protocol.

    `unit`: what the rows are, tracklets or images; for images `instance` comes first.
    """
    tables = []
    for draw in (_table_1, _table_2):
        for protocol in sorted(_RULES, key=lambda name: name != protocols_of(unit)[0]):
            chosen = [number for number in numbers if number.protocol == protocol]
            if all(number.source in ("constant", "prior") for number in chosen):
                continue  # nothing to read against them
            if table := draw(chosen, protocol, place, with_details, unit):
                tables.append(table)
    return tables


def _table_1(numbers: Sequence[Number], protocol: str, place: str, with_details: bool, unit: str) -> Table | None:
    """Return systems by metrics; None where no system has averages."""
    chosen = [number for number in numbers if number.table == AVERAGES]
    systems = grid(chosen, _system, lambda number: number.metric)
    if not systems:
        return None
    further = [column for column in _FURTHER if with_details or _is_needed(column[1], systems.values())]
    ordered = [*_COLUMNS, *further]
    if is_mean_accuracy_first(protocol, unit):
        ordered.sort(key=lambda column: column[1] != "mA")
    columns = [
        (heading, metric, shows)
        for heading, metric, shows in ordered
        if any(cell(row.get(metric), shows) != MISSING for row in systems.values())
    ]
    labels, caption = _labels(chosen)
    lines = [
        (labels[system], [(row.get(metric), shows) for _, metric, shows in columns])
        for system, row in systems.items()
    ]
    rows, bars = cells_and_bars(lines)
    over = f"{unit}s" if protocol == "instance" else "groups"
    title = f"Table 1. {place}: averages over {over} under {_rule(protocol, unit)}, in percent"
    header = ("System", *(heading for heading, _, _ in columns))
    return Table(title, header, rows, caption=caption, systems_in="rows", bars=bars)


def _rule(protocol: str, unit: str) -> str:
    return _RULES[protocol].format(who="people" if unit == "tracklet" else f"{unit}s")


def _is_needed(metric: str, systems: Iterable[Mapping[str, Number]]) -> bool:
    """Return whether some system has this metric and no F1."""
    return any(metric in row and "f1" not in row for row in systems)


def _table_2(numbers: Sequence[Number], protocol: str, place: str, _: bool, unit: str) -> Table | None:
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
    found = grid(chosen, lambda number: (number.table, number.group), _system)
    shows: Shown = "value"
    lines = [(group, [(row.get(system), shows) for system in labels]) for (_, group), row in found.items()]
    rows, bars = cells_and_bars(lines)
    title = f"Table 2. {place}: F1 of each group under {_rule(protocol, unit)}, in percent"
    header = ("Group", *labels.values())
    return Table(title, header, rows, caption=caption, systems_in="columns", last_is_average=True, bars=bars)


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
    if number.protocol == SELECTED and number.source == "run":
        marks.append(f"threshold {number.threshold:g}")
    return marks
