"""Charts as SVG elements of a page."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import pytest

from tests.rendering.test_page import contrast
from tests.support.pages import CHART, HOSTILE
from vpar_cache.errors import printable
from vpar_cache.rendering.chart import COLORS, chart_svg
from vpar_cache.rendering.tables import Chart


def chart(*lines: list[tuple[float, float]]) -> Chart:
    return Chart("title", "x", "y", tuple((f"line {i}", tuple(points)) for i, points in enumerate(lines)))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


def test_a_chart_shows_its_axes_its_lines_and_whole_numbers_for_epochs() -> None:
    found = texts(chart_svg(CHART, "c"))
    assert {"epoch", "F1", "run 9", "run 10"} <= set(found)
    assert {"1", "2", "3", "4"} <= set(found)
    assert "1.5" not in found


def test_the_same_chart_gives_the_same_bytes_and_two_charts_of_a_page_share_no_id() -> None:
    assert chart_svg(CHART, "a") == chart_svg(CHART, "a")
    first, second = (set(re.findall(' id="([^"]+)"', chart_svg(CHART, name))) for name in "ab")
    assert first
    assert not first & second


def test_a_chart_has_no_style_font_address_or_time_and_takes_the_text_colour_of_the_page() -> None:
    svg = chart_svg(CHART, "c")
    assert not re.search(r"style|font|url\(|https?:|xmlns|metadata|20\d\d-", svg)
    assert 'fill="currentColor"' in svg
    assert set(re.findall("#[0-9a-f]{6}", svg)) == set(COLORS[:2])


@pytest.mark.parametrize("background", ["#ffffff", "#15171b"])
def test_lines_have_contrast_on_light_and_on_dark_pages(background: str) -> None:
    assert min(contrast(color, background) for color in COLORS) >= 3


@pytest.mark.parametrize("name", [*filter(None, HOSTILE), "_hidden", "$x^2$", "日本"])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    svg = chart_svg(Chart(name, name, name, ((name, ((0.0, 1.0),)),)), "c")
    assert printable(name) in texts(svg)
    assert ET.fromstring(svg).get("aria-label") == printable(name)
    assert "script" not in {element.tag for element in ET.fromstring(svg).iter()}


def test_a_number_that_cannot_be_drawn_leaves_a_gap() -> None:
    assert "nan" not in chart_svg(chart([(0, math.nan), (1, 2.0), (2, math.inf)], []), "c").lower()


@pytest.mark.parametrize("value", [0.0, 1e-9, -3.0, 1e12])
def test_a_line_that_does_not_rise_is_drawn(value: float) -> None:
    assert "line 0" in texts(chart_svg(chart([(0, value), (1, value)]), "c"))
