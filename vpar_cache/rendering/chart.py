"""A chart as numbers for SVG: where its ticks, lines and markers go, and the words for who cannot see it.

Lines differ by dash and marker as well as by colour, so that no colour has to be seen. Nothing here writes
markup: the template does, and escapes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vpar_cache.rendering.tables import Chart, Table, chart_table

WIDTH, HEIGHT = 640, 340
"""Of the viewBox; the page scales it to the room there is."""
LEFT, TOP, RIGHT, BOTTOM = 68, 40, 620, 284
"""The edges of the plotting area; outside it there is room for labels twice the usual size (narrow screens)."""

COLORS = 6
"""CSS variables --series-0 ... of report.css."""
_DASHES = ("", "7 4", "2 4", "12 4 2 4", "14 5")
# Around (0, 0); as many as share no factor with the dashes, so that 35 lines differ without colour.
_MARKERS = (
    "M-4 0A4 4 0 1 1 4 0A4 4 0 1 1 -4 0Z",
    "M-4 -4H4V4H-4Z",
    "M0 -5L5 4H-5Z",
    "M0 -5.5L5.5 0L0 5.5L-5.5 0Z",
    "M0 5L5 -4H-5Z",
    "M-1.5 -5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5V-1.5H-1.5Z",
    "M-5 -2H5V2H-5Z",
)
_MAX_MARKERS = 10  # on a line
_NUM_TICKS = 5
_LARGEST = 1e30  # beyond it a number is as good as infinite, and differences stay finite


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: str
    label: str


@dataclass(frozen=True)
class Line:
    """A line and how it looks."""

    name: str
    color: int
    dash: str
    marker: str
    path: str
    marked: tuple[str, ...]
    """Where its markers stand, each "x y"."""


@dataclass(frozen=True)
class Drawing:
    """What the template draws."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    description: str
    points: Table | None
    """None where they stand in a table beside it."""


def draw(chart: Chart) -> Drawing:
    """Axes that hold every finite point; a line has a gap where a number is infinite or none."""
    xs = [x for _, points in chart.lines for x, y in points if _is_drawable(x, y)]
    ys = [y for _, points in chart.lines for x, y in points if _is_drawable(x, y)]
    x_ticks, y_ticks = _ticks(xs, whole=all(x == int(x) for x in xs)), _ticks(ys)
    # Epochs fill the width from the first to the last; scores get round limits.
    x_range, y_range = _span(xs), (y_ticks[0], y_ticks[-1])

    def place(x: float, y: float) -> tuple[str, str]:
        return _coordinate(x, x_range, LEFT, RIGHT), _coordinate(y, y_range, BOTTOM, TOP)

    lines = []
    for i, (name, points) in enumerate(chart.lines):
        path, placed = [], []
        for x, y in points:
            if not _is_drawable(x, y):
                path.append("")
                continue
            placed.append(" ".join(place(x, y)))
            path.append(f"{'L' if path and path[-1] else 'M'}{placed[-1]}")
        dash, marker = _DASHES[i % len(_DASHES)], _MARKERS[i % len(_MARKERS)]
        marked = tuple(placed[:: math.ceil(len(placed) / _MAX_MARKERS) or 1])
        lines.append(Line(name, i % COLORS, dash, marker, "".join(path), marked))
    return Drawing(
        tuple(Tick(place(x, 0)[0], label) for x, label in _labels(x_ticks) if x_range[0] <= x <= x_range[1]),
        tuple(Tick(place(x_range[0], y)[1], label) for y, label in _labels(y_ticks)),
        tuple(lines),
        _description(chart),
        None if chart.is_repeated else replace(chart_table(chart), num_labels=0),
    )


def _is_drawable(*numbers: float) -> bool:
    return all(abs(number) < _LARGEST for number in numbers)  # false for NaN


def _coordinate(value: float, limits: tuple[float, float], start: int, stop: int) -> str:
    share = (value - limits[0]) / (limits[1] - limits[0])
    return f"{start + share * (stop - start):.1f}".removesuffix(".0")


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest; some room around a single value, and (0, 1) for none."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = max(1e-9 * max(abs(low), abs(high)), 1e-9)
    if high - low > room:
        return low, high
    return low - max(0.5, 0.1 * abs(low)), high + max(0.5, 0.1 * abs(high))


def _ticks(values: Sequence[float], whole: bool = False) -> list[float]:
    """Round numbers from below the least value to above the greatest."""
    low, high = _span(values)
    rough = (high - low) / _NUM_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    return [step * i for i in range(first, max(last, first + 1) + 1)]


def _labels(ticks: Sequence[float]) -> list[tuple[float, str]]:
    step = ticks[1] - ticks[0]
    decimals = max(0, -math.floor(math.log10(step) + 1e-6))
    plain = decimals <= 5 and max(map(abs, ticks)) < 1e7
    return [(tick, f"{tick:.{decimals}f}".replace("-", "−") if plain else f"{tick:.3g}") for tick in ticks]


def _description(chart: Chart) -> str:
    """What a line does in words: its ends and its best."""
    said = [f"{chart.y_label} against {chart.x_label}."]
    for name, points in chart.lines:
        finite = [point for point in points if _is_drawable(*point)]
        if finite:
            (x0, y0), (x1, y1) = finite[0], finite[-1]
            low, high = min(y for _, y in finite), max(y for _, y in finite)
            ends = f"{y0:.4g} at {x0:.4g}, {y1:.4g} at {x1:.4g}"
            said.append(f"{name}: {ends}; least {low:.4g}, greatest {high:.4g}.")
        else:
            said.append(f"{name}: no finite number.")
    return " ".join(said)
