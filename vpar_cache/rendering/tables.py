"""The long table of numbers, and the tables, notes and charts that show it. Nothing here draws."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, Protocol, TypeVar

from vpar_cache.metrics.scoring import THRESHOLDS

PROTOCOL_NOTES = (
    f"vtf: probability > {THRESHOLDS['vtf']:g}; one output: P, R and F1 of the positive class; several: P, R and "
    "F1 of each tracklet, averaged over tracklets; then the mean over groups. F1 is averaged like P and R; "
    "their harmonic mean (F1 of means), which PAR toolboxes often print, is higher.",
    f"videopar: the most probable class of a group (one output: probability > {THRESHOLDS['videopar']:g}), macro "
    "F1 over all its classes, an absent class scoring 0; acc is accuracy; then the mean over groups.",
    f"pooled: probability > {THRESHOLDS['pooled']:g}; hits and errors summed over all outputs and tracklets of a "
    "group, P, R and F1 of the sums; then the mean over groups.",
    f"instance: probability > {THRESHOLDS['instance']:g}; all outputs of a tracklet as one set: acc is hits / "
    "(said or true), P, R and F1 of each tracklet; then the mean over tracklets.",
    "mA: (TPR + TNR) / 2 of each output, averaged; every constant has 50 where both answers occur.",
)
"""What the names of the protocols and metrics mean, for the foot of every document that has them."""

BASELINE_NOTES = (
    "best constant: the same answer for every tracklet, the best that the train labels give under the protocol; "
    "it sees no image, so a model must beat it.",
    "shuffled: the system's own predictions, given to other people (where people are not known, to other "
    "tracklets); p: how likely they score as high as the predictions in their places.",
)
"""What stands beside every number of a model."""

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
    """published, constant, prior, run, mean, comparison, predictions or trial."""
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
    best_constant: float | None = None
    """The same number of the best constant, which sees no image."""
    shuffled: float | None = None
    """The same number of the system's own predictions, shuffled: the mean."""
    shuffled_low: float | None = None
    """The ends of the range of 95 % of the shuffles."""
    shuffled_high: float | None = None
    p: float | None = None
    """Of a shuffle scoring at least as high."""
    unit: str = PERCENT
    n: int | None = None
    """Tracklets behind the number, where that is known."""


COLUMNS = tuple(field.name for field in fields(Number))
ROUNDED = ("value", "low", "high", "best_constant", "shuffled", "shuffled_low", "shuffled_high")
"""The columns that have the number's unit."""


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
    bars: tuple[tuple[float | None, ...], ...] = ()
    """For each cell: the share of its number that the best constant reaches, 0 to 1. The page draws them."""


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
    group: str = ""
    """Under which line of the contents it stands, where there are many of its kind."""


class Document(Protocol):
    """What a command hands over for rendering."""

    @property
    def parts(self) -> Sequence[Part]: ...


_Row = TypeVar("_Row", bound=Hashable)
_Column = TypeVar("_Column", bound=Hashable)


Shown = Literal["value", "interval", "best_constant", "shuffled", "shuffled_range", "p"]
"""What a cell shows of a number."""


@dataclass(frozen=True)
class Column:
    """A column of a table of metrics."""

    heading: str
    metric: str
    protocol: str = ""
    shows: Shown = "value"


def metric_table(
    title: str, first: str, numbers: Iterable[Number], columns: Sequence[Column], last_is_average: bool = False
) -> Table:
    """Return a table with a row for each group and item, in their order, and a column for each metric."""
    # The average and a group of that name are different rows.
    found = grid(numbers, lambda n: (n.table, n.group, n.item), lambda n: (n.protocol, n.metric))
    lines = [
        (item or group, [(row.get((column.protocol, column.metric)), column.shows) for column in columns])
        for (_, group, item), row in found.items()
    ]
    header = (first, *(column.heading for column in columns))
    rows, bars = cells_and_bars(lines)
    return Table(title, header, rows, last_is_average=last_is_average, bars=bars)


def cells_and_bars(
    lines: Sequence[tuple[str, Sequence[tuple[Number | None, Shown]]]],
) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[float | None, ...], ...]]:
    """Return the cells and the bars of rows, each a label with its numbers and what is shown of them."""
    rows = tuple((label, *(cell(number, shows) for number, shows in numbers)) for label, numbers in lines)
    bars = tuple((None, *(bar(number, shows) for number, shows in numbers)) for _, numbers in lines)
    return rows, bars


def grid(
    numbers: Iterable[Number], row: Callable[[Number], _Row], column: Callable[[Number], _Column]
) -> dict[_Row, dict[_Column, Number]]:
    """Return the numbers by row and column, rows in the order of their first number."""
    found: dict[_Row, dict[_Column, Number]] = {}
    for number in numbers:
        found.setdefault(row(number), {})[column(number)] = number
    return found


def cell(number: Number | None, shows: Shown = "value") -> str:
    """Return what a cell shows of a number.

    A value is "81.94" (percent), "+1.23" (points), "12" (count) or "0.6931" (plain); a range "40.1 to 44.3".
    """
    if number is None:
        return MISSING
    if shows in ("interval", "shuffled_range"):
        ends = (number.low, number.high) if shows == "interval" else (number.shuffled_low, number.shuffled_high)
        low, high = ends
        sign = "+" if number.unit == POINTS else ""
        return MISSING if low is None or high is None else f"{low:{sign}.1f} to {high:{sign}.1f}"
    value: float | None = getattr(number, shows)
    if value is None:
        return MISSING
    return f"{value:.3f}" if shows == "p" else _text(value, number.unit)


def bar(number: Number | None, shows: Shown) -> float | None:
    """Return how much of a number the best constant reaches, 0 to 1; None where there is none."""
    if number is None or shows != "value" or number.best_constant is None:
        return None
    return min(1.0, number.best_constant / number.value) if number.value > 0 else 1.0


def rounded(value: float | None, unit: str) -> float | None:
    """Return a value as files hold it: two decimals, or six digits without a unit."""
    if value is None:
        return None
    return int(value) if unit == COUNT else float(f"{value:.6g}") if unit == PLAIN else round(value, 2)


def _text(value: float, unit: str) -> str:
    if unit == COUNT:
        return f"{value:.0f}"
    if unit == PLAIN:
        return f"{value:.4g}"
    return f"{value:+.2f}" if unit == POINTS else f"{value:.2f}"
