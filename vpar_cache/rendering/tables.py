"""The long table of numbers, and the tables, notes and charts that show it. Nothing here draws."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, Protocol, TypeVar

from vpar_cache.metrics.videopar import VIDEOPAR_THRESHOLD
from vpar_cache.metrics.vtf import VTF_THRESHOLD

PROTOCOL_NOTES = (
    f"vtf: probability > {VTF_THRESHOLD}; one output: P, R and F1 of the positive class; several: P, R and "
    "F1 of each tracklet, averaged over tracklets; then the mean over groups. F1 is averaged like P and R; "
    "their harmonic mean, which PAR toolboxes often print, is higher.",
    f"videopar: the most probable class of a group (one output: probability > {VIDEOPAR_THRESHOLD}), macro "
    "F1 over all its classes, an absent class scoring 0; acc is accuracy; then the mean over groups.",
)
"""What the names of the protocols mean, for the foot of every document that has both."""

MISSING = "–"
"""The cell of a number that does not exist."""

PERCENT, POINTS, COUNT, PLAIN = "percent", "points", "count", "plain"
"""Units: a share, a difference of shares (shown with its sign), a whole number, a number without unit."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """One number and what it is about: a row of the long table, of which every view is made."""

    table: str
    """The kind of table that shows it: averages, groups, outputs, ..."""
    dataset: str
    split: str = "test"
    system: str
    source: str
    """published, prior, run, mean, comparison or predictions."""
    kind: str = ""
    """Of a run: its model and its recipe."""
    weights: str = ""
    protocol: str = ""
    """Empty for a number that no protocol defines, such as a calibration error."""
    threshold: float | None = None
    group: str = ""
    item: str = ""
    """What the number is about below the group: an output, a part, a bin, a class."""
    metric: str
    value: float
    low: float | None = None
    """The ends of the 95 % interval, where there is one."""
    high: float | None = None
    unit: str = PERCENT
    n: int | None = None
    """Tracklets behind the number, where that is known."""


COLUMNS = tuple(field.name for field in fields(Number))


@dataclass(frozen=True)
class Table:
    """Cells ready to print. The first `num_labels` columns are text, the others numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_labels: int = 1
    caption: str = ""
    """What all systems share."""
    systems_in: Literal["", "rows", "columns"] = ""
    """Where the names of systems stand. They may be long; a narrow terminal shows numbers for them."""
    last_is_average: bool = False
    """The last row sums up the others; sorting leaves it in place."""


@dataclass(frozen=True)
class Notes:
    """Short remarks under the tables."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """Lines over a common axis, each a name and its points, of the table before it. Drawn on the page only."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]


Block = Table | Notes | Chart


@dataclass(frozen=True)
class Part:
    """Numbers and the blocks that show them, under one heading."""

    title: str
    numbers: tuple[Number, ...]
    blocks: tuple[Block, ...]


class Document(Protocol):
    """What a command hands over for rendering."""

    @property
    def parts(self) -> Sequence[Part]: ...


_Row = TypeVar("_Row", bound=Hashable)
_Column = TypeVar("_Column", bound=Hashable)


@dataclass(frozen=True)
class Column:
    """A column of a table of metrics."""

    heading: str
    metric: str
    protocol: str = ""
    shows_interval: bool = False


def metric_table(
    title: str, first: str, numbers: Iterable[Number], columns: Sequence[Column], last_is_average: bool = False
) -> Table:
    """Return a table with a row for each group and item, in their order, and a column for each metric."""
    # The average and a group of that name are different rows.
    found = grid(numbers, lambda n: (n.table, n.group, n.item), lambda n: (n.protocol, n.metric))
    rows = tuple(
        (
            item or group,
            *(cell(row.get((column.protocol, column.metric)), column.shows_interval) for column in columns),
        )
        for (_, group, item), row in found.items()
    )
    header = (first, *(column.heading for column in columns))
    return Table(title, header, rows, last_is_average=last_is_average)


def grid(
    numbers: Iterable[Number], row: Callable[[Number], _Row], column: Callable[[Number], _Column]
) -> dict[_Row, dict[_Column, Number]]:
    """Return the numbers by row and column, rows in the order of their first number."""
    found: dict[_Row, dict[_Column, Number]] = {}
    for number in numbers:
        found.setdefault(row(number), {})[column(number)] = number
    return found


def cell(number: Number | None, shows_interval: bool = False) -> str:
    """Return "81.94" (percent), "+1.23" (points), "12" (count), "0.6931" (plain) or "40.1 to 44.3" (interval)."""
    if number is None:
        return MISSING
    if not shows_interval:
        return _text(number.value, number.unit, 2)
    if number.low is None or number.high is None:
        return MISSING
    return f"{_text(number.low, number.unit, 1)} to {_text(number.high, number.unit, 1)}"


def rounded(value: float | None, unit: str) -> float | None:
    """Return a value as files hold it: two decimals, or six digits without a unit."""
    if value is None:
        return None
    return int(value) if unit == COUNT else float(f"{value:.6g}") if unit == PLAIN else round(value, 2)


def _text(value: float, unit: str, decimals: int) -> str:
    if unit == COUNT:
        return f"{value:.0f}"
    if unit == PLAIN:
        return f"{value:.4g}"
    return f"{value:+.{decimals}f}" if unit == POINTS else f"{value:.{decimals}f}"
