"""All scores of one predictor: a table for each protocol, with everything to read the numbers against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vpar_cache.metrics.evaluation import Evaluation
from vpar_cache.metrics.scoring import is_mean_accuracy_first, protocols_of
from vpar_cache.metrics.verdict import verdict
from vpar_cache.rendering.tables import (
    BASELINE_NOTES,
    MISSING,
    PROTOCOL_NOTES,
    Column,
    Notes,
    Number,
    Part,
    Table,
    cell,
    metric_table,
)
from vpar_cache.reporting.numbers import AVERAGES, GROUPS, evaluation_numbers

RULES = {
    "vtf": "vtf",
    "videopar": "videopar",
    "pooled": "pooled",
    "instance": "instance, averages over {unit}s",
}


@dataclass(frozen=True)
class EvaluationTables:
    """The numbers of one predictor on one set of tracklets, independent of how they are rendered."""

    title: str
    about: Mapping[str, str]
    """The fields of Number that all share."""
    evaluation: Evaluation
    remarks: tuple[str, ...] = ()
    """What must be known beside the numbers."""
    notes: tuple[str, ...] = ()
    """For the user and not part of the tables: print them to stderr."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """A table for each protocol, groups as rows and the average last, with the meaning of its columns."""
        numbers = tuple(evaluation_numbers(self.evaluation, **self.about))
        unit = self.evaluation.unit
        tables = [protocol_table(self.title, numbers, protocol, unit) for protocol in protocols_of(unit)]
        said = [line for line in (verdict(self.evaluation), *_remarks(self.evaluation), *self.remarks) if line]
        return (Part(self.about["system"], numbers, (*tables, Notes((*said, *PROTOCOL_NOTES, *BASELINE_NOTES)))),)


@dataclass(frozen=True)
class SeveralTables:
    """The numbers of one predictor on several sets of tracklets, one after the other."""

    each: tuple[EvaluationTables, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of each."""
        return tuple(part for tables in self.each for part in tables.parts)


def _remarks(found: Evaluation) -> list[str]:
    remarks = []
    if found.num_people is None:
        remarks.append(f"people are not known, so intervals and shuffles are over {found.unit}s")
    if found.unknown:
        counts = ", ".join(f"{group} {count}" for group, count in found.unknown.items())
        remarks.append(f"unknown labels, which no score counts: {counts}")
    return remarks


def protocol_table(title: str, numbers: Iterable[Number], protocol: str, unit: str) -> Table:
    """Return groups as rows, the average last. Columns without any number are left out. `unit`: what is scored."""
    chosen = [number for number in numbers if number.protocol == protocol and number.table in (AVERAGES, GROUPS)]
    chosen.sort(key=lambda number: number.table == AVERAGES)
    columns = [
        column
        for column in _columns(protocol, is_mean_accuracy_first(protocol, unit))
        if any(number.metric == column.metric and cell(number, column.shows) != MISSING for number in chosen)
    ]
    title = f"{title}, {RULES[protocol].format(unit=unit)}, in percent"
    return metric_table(title, "Group", chosen, columns, last_is_average=True)


def _columns(protocol: str, mean_accuracy_first: bool) -> list[Column]:
    columns = [
        Column("acc", "accuracy", protocol),
        Column("P", "precision", protocol),
        Column("R", "recall", protocol),
        Column("F1", "f1", protocol),
        Column("F1 95 %", "f1", protocol, "interval"),
        Column("best constant F1", "f1", protocol, "best_constant"),
        Column("shuffled F1", "f1", protocol, "shuffled"),
        Column("p", "f1", protocol, "p"),
        Column("mA", "mA", protocol),
        Column("F1 of means", "f1_of_means", protocol),
        Column("shuffled 95 %", "f1", protocol, "shuffled_range"),
    ]
    if mean_accuracy_first:
        columns.sort(key=lambda column: column.metric != "mA")
    return columns
