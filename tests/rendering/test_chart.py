"""Where the lines of a chart go."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pages import CHART
from vpar_cache.rendering.chart import BOTTOM, LEFT, RIGHT, TOP, draw
from vpar_cache.rendering.tables import Chart


def chart(*lines: list[tuple[float, float]]) -> Chart:
    return Chart("title", "x", "y", tuple((f"line {i}", tuple(points)) for i, points in enumerate(lines)))


def test_points_stand_where_their_numbers_say() -> None:
    (line,) = draw(chart([(0, 0), (5, 50), (10, 100)])).lines
    middle = f"{(LEFT + RIGHT) / 2:g} {(TOP + BOTTOM) / 2:g}"
    assert line.path == f"M{LEFT} {BOTTOM}L{middle}L{RIGHT} {TOP}"
    assert line.marked[1] == middle


def test_ticks_are_round_and_hold_every_point() -> None:
    drawing = draw(chart([(1, 0.4213), (20, 0.7897)]))
    assert [tick.label for tick in drawing.y_ticks] == ["0.4", "0.5", "0.6", "0.7", "0.8"]
    assert [tick.label for tick in drawing.x_ticks] == ["5", "10", "15", "20"]
    assert [tick.label for tick in draw(chart([(0, -5), (1, 5)])).y_ticks] == [
        "−6",
        "−4",
        "−2",
        "0",
        "2",
        "4",
        "6",
    ]


def test_whole_numbers_get_whole_ticks() -> None:
    assert [tick.label for tick in draw(chart([(1, 0), (3, 1)])).x_ticks] == ["1", "2", "3"]


@pytest.mark.parametrize("value", [0.0, 1e-9, 0.5, -3.0, 1e12])
def test_a_line_that_does_not_rise_lies_within(value: float) -> None:
    drawing = draw(chart([(0, value), (1, value)]))
    heights = {float(y) for y in re.findall(r" ([\d.]+)", drawing.lines[0].path)}
    assert len(heights) == 1
    assert TOP < heights.pop() < BOTTOM
    assert len({tick.label for tick in drawing.y_ticks}) == len(drawing.y_ticks) > 1


def test_a_number_that_cannot_be_drawn_leaves_a_gap() -> None:
    drawing = draw(CHART)
    assert [letter for letter in drawing.lines[1].path if letter.isalpha()] == ["M", "M", "L"]
    nothing = draw(chart([(0, math.nan), (1, math.inf)], []))
    assert [line.path for line in nothing.lines] == ["", ""]
    assert "line 0: no finite number." in nothing.description


def test_thirty_lines_differ_without_colour() -> None:
    lines = draw(chart(*[[(0, i), (1, i)] for i in range(30)])).lines
    assert len({(line.dash, line.marker) for line in lines}) == 30


def test_a_long_line_has_few_markers() -> None:
    (line,) = draw(chart([(i, i) for i in range(500)])).lines
    assert 5 <= len(line.marked) <= 10


@given(st.lists(st.lists(st.tuples(st.floats(), st.floats()), max_size=6), max_size=4))
def test_whatever_the_numbers_everything_is_within(lines: list[list[tuple[float, float]]]) -> None:
    drawing = draw(chart(*lines))
    for line in drawing.lines:
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", line.path):
            assert LEFT <= float(x) <= RIGHT
            assert TOP <= float(y) <= BOTTOM
        assert line.path.count("M") + line.path.count("L") == len(re.findall(r"[ML]-?[\d.]+ -?[\d.]+", line.path))
    assert 2 <= len(drawing.y_ticks) <= 12
    assert len(drawing.x_ticks) <= 12
