"""The long table, and tables made of it."""

from __future__ import annotations

import pytest

from tests.support.pages import number
from vpar_cache.rendering.tables import COUNT, PLAIN, POINTS, Column, cell, metric_table, rounded


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(81.944, "percent", "81.94"), (-1.234, POINTS, "-1.23"), (1.0, POINTS, "+1.00"), (12, COUNT, "12"),
     (0.693147, PLAIN, "0.6931")],
)  # fmt: skip
def test_a_cell_is_written_by_its_unit(value: float, unit: str, text: str) -> None:
    assert cell(number(value=value, unit=unit)) == text


def test_an_interval_has_one_decimal_and_a_missing_number_is_a_dash() -> None:
    assert cell(number(low=25.04, high=75.5), shows_interval=True) == "25.0 to 75.5"
    assert cell(number(low=-1.0, high=2.0, unit=POINTS), shows_interval=True) == "-1.0 to +2.0"
    assert cell(number(), shows_interval=True) == cell(None) == "–"


def test_a_table_has_a_row_for_each_group_and_item_and_a_dash_where_there_is_no_number() -> None:
    numbers = [
        number(item="camera 1", value=50.0),
        number(item="camera 2", metric="people", protocol="", value=2, unit=COUNT),
        number(item="camera 1", metric="people", protocol="", value=3, unit=COUNT),
    ]
    table = metric_table("t", "Part", numbers, [Column("people", "people"), Column("vtf F1", "f1", "vtf")])
    assert table.header == ("Part", "people", "vtf F1")
    assert table.rows == (("camera 1", "3", "50.00"), ("camera 2", "2", "–"))


def test_two_protocols_never_share_a_column() -> None:
    numbers = [number(protocol="vtf", value=1.0), number(protocol="videopar", value=2.0)]
    table = metric_table("t", "Group", numbers, [Column("a", "f1", "vtf"), Column("b", "f1", "videopar")])
    assert table.rows == (("hat", "1.00", "2.00"),)


def test_a_group_called_average_does_not_hide_the_average() -> None:
    numbers = [number(group="average", value=50.0), number(table="averages", group="average", value=70.0)]
    assert [row[1] for row in metric_table("t", "Group", numbers, [Column("F1", "f1", "vtf")]).rows] == [
        "50.00",
        "70.00",
    ]


def test_files_hold_two_decimals_or_six_digits() -> None:
    assert rounded(81.9449, "percent") == 81.94
    assert rounded(0.123456789, PLAIN) == 0.123457
    assert rounded(3, COUNT) == 3
    assert rounded(None, "percent") is None
