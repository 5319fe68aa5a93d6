"""What every verb that prints scores hands over: tables, charts and remarks as data, and rows of the long form.

Nothing here knows where the numbers came from, nor how they are drawn (rendering.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from vpar_cache.metrics.intervals import Intervals
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.videopar import VIDEOPAR_THRESHOLD
from vpar_cache.metrics.vtf import VTF_THRESHOLD

LONG_COLUMNS = (
    "table", "dataset", "system", "source", "weights", "protocol", "threshold", "group", "item", "metric", "value",
    "n",
)  # fmt: skip
"""`item` is what a number is about below the group: an output, a slice, a bin, a pair of classes; `n` the
tracklets behind the number, where the table says them. Both are empty in Tables 1 and 2."""

PROTOCOL_NOTES = (
    f"vtf: probability > {VTF_THRESHOLD}; one output: P, R and F1 of the positive class; several: P, R and "
    "F1 of each tracklet, averaged over tracklets; then the mean over groups. F1 is averaged like P and R; "
    "their harmonic mean, which PAR toolboxes often print, is higher.",
    f"videopar: the most probable class of a group (one output: probability > {VIDEOPAR_THRESHOLD}), macro "
    "F1 over all its classes, an absent class scoring 0; acc is accuracy; then the mean over groups.",
)
"""What the names of the protocols mean, for the foot of every table that has both."""

MISSING = "–"
"""The cell of a number that nobody has."""


@dataclass(frozen=True)
class Table:
    """Cells ready to print. The first `num_labels` columns are text, the others numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_labels: int = 1
    rules: frozenset[int] = frozenset()
    """Rows after which a line is drawn."""


@dataclass(frozen=True)
class Notes:
    """Short remarks under the tables."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """Lines over a common axis, each a name and its points; drawn on the HTML page, a table elsewhere."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]
    is_repeated: bool = False
    """Its points stand in a table beside it, so that it is left out where it cannot be drawn."""


Block = Table | Notes | Chart


class Document(Protocol):
    """What a verb hands over for rendering."""

    def blocks(self) -> list[Block]: ...
    def long_rows(self) -> list[dict[str, str]]: ...
    def to_dict(self) -> dict[str, Any]: ...


def percent(fraction: float | None) -> str:
    """0.8194 -> "81.94"; a number that nobody has is a dash."""
    return MISSING if fraction is None else f"{100 * fraction:.2f}"


def signed_percent(difference: float | None) -> str:
    """0.0123 -> "+1.23"; -0.2 -> "-20.00"."""
    return MISSING if difference is None else f"{100 * difference:+.2f}"


def chart_table(chart: Chart) -> Table:
    """A row for every x that any line has, a column for every line."""
    columns = [dict(points) for _, points in chart.lines]
    rows = tuple(
        (f"{x:.6g}", *(f"{column[x]:.6g}" if x in column else MISSING for column in columns))
        for x in sorted({x for column in columns for x in column})
    )
    return Table(f"{chart.title}: {chart.y_label}", (chart.x_label, *(name for name, _ in chart.lines)), rows)


def percents(scores: ProtocolScores) -> dict[str, Any]:
    """ProtocolScores.to_dict in percent, two decimals."""
    return {
        "protocol": scores.protocol,
        "threshold": scores.threshold,
        "average": _rounded(scores.average),
        "groups": {name: _rounded(metrics) for name, metrics in scores.groups.items()},
    }


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {metric: round(100 * value, 2) for metric, value in metrics.items()}


def long_rows(
    dataset: str,
    system: str,
    source: str,
    weights: str,
    scores: Mapping[str, ProtocolScores],
    intervals: Intervals | None = None,
) -> Iterator[dict[str, str]]:
    """Every number of a system, one row each; table 1 holds averages, table 2 groups. An interval gives two: f1
    has f1_95_low and f1_95_high beside it.

    `protocol` is the key of `scores`, so that vtf_selected stays apart from vtf even at an equal threshold.
    """
    fixed = {"dataset": dataset, "system": system, "source": source, "weights": weights}
    for protocol, block in scores.items():
        averages, groups = [("1", "average", block.average)], [("2", *item) for item in block.groups.items()]
        for table, group, metrics in [*averages, *groups]:
            numbers = dict(metrics)
            for metric in metrics:
                # vtf_selected has none: its key is not among those of the intervals.
                if intervals and (found := intervals.of(protocol, None if table == "1" else group, metric)):
                    numbers[f"{metric}_95_low"], numbers[f"{metric}_95_high"] = found
            for metric, value in numbers.items():
                yield {
                    **fixed,
                    "table": table,
                    "protocol": protocol,
                    "threshold": f"{block.threshold:g}",
                    "group": group,
                    "metric": metric,
                    "value": percent(value),
                }
