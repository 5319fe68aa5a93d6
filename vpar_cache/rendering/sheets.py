"""A table of numbers written down once, from which its cells, its long rows and its JSON are made.

Tables 1 and 2 hold one kind of number each; the detail tables hold many, and every one must carry its protocol
and threshold wherever it goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vpar_cache.rendering.tables import MISSING, Block, Chart, Notes, Table, percent, signed_percent

Value = float | int | tuple[float, float] | None
"""A fraction, a count, an interval of fractions, or a number that nobody has."""


@dataclass(frozen=True)
class Column:
    """What its numbers are. Counts are whole numbers, everything else fractions, shown in percent."""

    heading: str
    metric: str
    protocol: str = ""
    """vtf or videopar; empty for what knows no protocol, such as a calibration."""
    threshold: float | None = None
    is_signed: bool = False
    """A difference: shown with its sign."""

    @property
    def key(self) -> str:
        return f"{self.protocol}_{self.metric}" if self.protocol else self.metric


@dataclass(frozen=True)
class Row:
    """One line of numbers and what they are about."""

    group: str
    item: str
    """Below the group: an output, a part, a bin; empty where the row is about the group itself."""
    n: int | None
    """Tracklets (or labels) behind the numbers."""
    values: tuple[Value, ...]
    threshold: float | None = None
    """Where rows differ in it."""

    @property
    def label(self) -> str:
        return self.item or self.group


@dataclass(frozen=True)
class Sheet:
    """Rows of one kind. `key` names it in JSON and in the CSV's column `table`."""

    key: str
    title: str
    first: str
    """The heading of the rows' labels."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    chart: Chart | None = None
    """Of these very numbers."""
    n_heading: str = "tracklets"
    last_is_average: bool = False
    """A line stands before the last row."""

    def blocks(self) -> list[Block]:
        """The table, and its chart where one can be drawn."""
        counted = any(row.n is not None for row in self.rows)
        rows = tuple(
            (
                row.label,
                *([MISSING if row.n is None else str(row.n)] if counted else []),
                *(_cell(column, value) for column, value in zip(self.columns, row.values, strict=True)),
            )
            for row in self.rows
        )
        header = (self.first, *([self.n_heading] if counted else []), *(c.heading for c in self.columns))
        rules = frozenset({len(rows) - 2} if self.last_is_average else ())
        table = Table(self.title, header, rows, rules=rules)
        return [table] if self.chart is None else [table, self.chart]

    def long_rows(self, fixed: Mapping[str, str]) -> list[dict[str, str]]:
        """One row per number that there is; an interval gives two, its metric with _low and _high."""
        found = []
        for row in self.rows:
            for column, value in zip(self.columns, row.values, strict=True):
                threshold = column.threshold if row.threshold is None else row.threshold
                for metric, number in _numbers(column.metric, value):
                    found.append(
                        {
                            **fixed,
                            "table": self.key,
                            "protocol": column.protocol,
                            "threshold": "" if threshold is None else f"{threshold:g}",
                            "group": row.group,
                            "item": row.item,
                            "metric": metric,
                            "value": number,
                            "n": "" if row.n is None else str(row.n),
                        }
                    )
        return found

    def to_dict(self) -> list[dict[str, Any]]:
        """Plain JSON: an object a row, fractions in percent; keys are metrics with their protocol."""
        thresholds = {c.protocol: c.threshold for c in self.columns if c.threshold is not None}
        return [
            {
                "group": row.group,
                "item": row.item or None,
                "n": row.n,
                "threshold": thresholds if row.threshold is None else row.threshold,
                **{c.key: _plain(value) for c, value in zip(self.columns, row.values, strict=True)},
            }
            for row in self.rows
        ]


@dataclass(frozen=True)
class Details:
    """The sheets about one system, or about two that are compared."""

    dataset: str
    system: str
    """As the tables above call it."""
    source: str
    """run or comparison."""
    weights: str
    random_weights: bool
    sheets: tuple[Sheet, ...]
    notes: tuple[str, ...]

    def blocks(self) -> list[Block]:
        """Every sheet, then the notes."""
        blocks = [block for sheet in self.sheets for block in sheet.blocks()]
        return [*blocks, Notes(self.notes)] if self.notes else blocks

    def long_rows(self) -> list[dict[str, str]]:
        """One row per number (tables.LONG_COLUMNS)."""
        fixed = {"dataset": self.dataset, "system": self.system, "source": self.source, "weights": self.weights}
        return [row for sheet in self.sheets for row in sheet.long_rows(fixed)]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        fixed = {"dataset": self.dataset, "system": self.system, "source": self.source, "weights": self.weights}
        sheets: dict[str, list[dict[str, Any]]] = {}
        for sheet in self.sheets:  # several of one kind are one list: their rows name their groups
            sheets.setdefault(sheet.key, []).extend(sheet.to_dict())
        return {**fixed, "random_weights": self.random_weights, **sheets, "notes": list(self.notes)}


def interval_text(interval: tuple[float, float] | None, is_signed: bool = False) -> str:
    """(0.401, 0.443) -> "40.1 to 44.3"."""
    if interval is None:
        return MISSING
    low, high = (f"{100 * end:+.1f}" if is_signed else f"{100 * end:.1f}" for end in interval)
    return f"{low} to {high}"


def _cell(column: Column, value: Value) -> str:
    if isinstance(value, tuple):
        return interval_text(value, column.is_signed)
    if isinstance(value, int):
        return str(value)
    return signed_percent(value) if column.is_signed else percent(value)


def _numbers(metric: str, value: Value) -> list[tuple[str, str]]:
    """Metric and number, for the long form."""
    if value is None:
        return []
    if isinstance(value, tuple):
        return [(f"{metric}_{end}", percent(number)) for end, number in zip(("low", "high"), value, strict=True)]
    return [(metric, str(value) if isinstance(value, int) else percent(value))]


def _plain(value: Value) -> Any:
    if isinstance(value, tuple):
        return [round(100 * end, 2) for end in value]
    return value if value is None or isinstance(value, int) else round(100 * value, 2)
