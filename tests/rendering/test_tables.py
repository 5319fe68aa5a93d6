"""The long table, and tables made of it."""

from __future__ import annotations

import pytest

from tests.support.pages import number
from vpar_cache.rendering.tables import COUNT, PLAIN, POINTS, Column, Shown, bar, cell, metric_table, rounded


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(81.944, "percent", "81.94"), (-1.234, POINTS, "-1.23"), (1.0, POINTS, "+1.00"), (12, COUNT, "12"),
     (0.693147, PLAIN, "0.6931")],
)  # fmt: skip
def test_a_cell_is_written_by_its_unit(value: float, unit: str, text: str) -> None:
    assert cell(number(value=value, unit=unit)) == text


def test_a_range_has_one_decimal_and_a_missing_number_is_a_dash() -> None:
    assert cell(number(low=25.04, high=75.5), "interval") == "25.0 to 75.5"
    assert cell(number(low=-1.0, high=2.0, unit=POINTS), "interval") == "-1.0 to +2.0"
    assert cell(number(shuffled_low=1.0, shuffled_high=2.0), "shuffled_range") == "1.0 to 2.0"
    shown: tuple[Shown, ...] = ("interval", "shuffled_range", "best_constant", "shuffled", "p")
    assert {cell(number(), shows) for shows in shown} == {"–"} == {cell(None)}


def test_a_cell_shows_what_the_number_is_read_against() -> None:
    full = number(best_constant=31.054, shuffled=28.5, p=1 / 201)
    shown: tuple[Shown, ...] = ("best_constant", "shuffled", "p")
    assert [cell(full, shows) for shows in shown] == ["31.05", "28.50", "0.005"]


@pytest.mark.parametrize(
    ("value", "constant", "share"),
    [
        (80.0, 20.0, 0.25),
        (50.0, 50.0, 1.0),
        (40.0, 60.0, 1.0),
        (50.0, 0.0, 0.0),
        (50.0, None, None),
        (0.0, 5.0, 1.0),
    ],
)  # fmt: skip
def test_a_bar_is_the_share_of_a_number_that_the_constant_reaches(
    value: float, constant: float | None, share: float | None
) -> None:
    found = number(value=value, best_constant=constant)
    assert bar(found, "value") == share
    assert {bar(found, "interval"), bar(found, "shuffled"), bar(None, "value")} == {None}


def test_a_table_of_metrics_has_a_bar_for_each_number_with_a_constant() -> None:
    numbers = [number(value=80.0, best_constant=20.0), number(group="pose", value=70.0)]
    columns = [Column("F1", "f1", "vtf"), Column("best", "f1", "vtf", "best_constant")]
    table = metric_table("t", "Group", numbers, columns)
    assert table.rows == (("hat", "80.00", "20.00"), ("pose", "70.00", "–"))
    assert table.bars == ((None, 0.25, None), (None, None, None))


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
