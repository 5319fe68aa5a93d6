"""One set of numbers in three forms: nothing is in one that is not in the others."""

from __future__ import annotations

import json

from vpar_cache.rendering.sheets import Column, Details, Row, Sheet, interval_text
from vpar_cache.rendering.tables import LONG_COLUMNS, Chart, Notes, Table

COLUMNS = (
    Column("F1", "f1", "vtf", 0.45),
    Column("F1 95 %", "f1_95", "vtf", 0.45),
    Column("over prior", "f1_over_prior", "vtf", 0.45, is_signed=True),
    Column("people", "people"),
)
SHEET = Sheet(
    "parts",
    "Parts",
    "Part",
    COLUMNS,
    (
        Row("average", "camera 1", 12, (0.5, (0.25, 0.755), -0.0123, 3)),
        Row("average", "camera 2", 4, (None, None, None, 2)),
    ),
)
FIXED = {"dataset": "d", "system": "s", "source": "run", "weights": "openai"}


def test_cells_show_percents_signs_counts_intervals_and_dashes():
    (table,) = SHEET.blocks()
    assert isinstance(table, Table)
    assert table.header == ("Part", "tracklets", "F1", "F1 95 %", "over prior", "people")
    assert table.rows == (
        ("camera 1", "12", "50.00", "25.0 to 75.5", "-1.23", "3"),
        ("camera 2", "4", "–", "–", "–", "2"),
    )


def test_long_rows_are_the_numbers_that_there_are_with_protocol_threshold_and_n():
    rows = SHEET.long_rows(FIXED)
    assert [(row["item"], row["metric"], row["value"], row["n"]) for row in rows] == [
        ("camera 1", "f1", "50.00", "12"),
        ("camera 1", "f1_95_low", "25.00", "12"),
        ("camera 1", "f1_95_high", "75.50", "12"),
        ("camera 1", "f1_over_prior", "-1.23", "12"),
        ("camera 1", "people", "3", "12"),
        ("camera 2", "people", "2", "4"),
    ]
    assert all(set(row) == set(LONG_COLUMNS) for row in rows)
    assert {(row["protocol"], row["threshold"]) for row in rows if row["metric"] != "people"} == {("vtf", "0.45")}


def test_json_has_every_number_under_its_protocol():
    first, second = json.loads(json.dumps(SHEET.to_dict()))
    assert first == {
        "group": "average",
        "item": "camera 1",
        "n": 12,
        "threshold": {"vtf": 0.45},
        "vtf_f1": 50.0,
        "vtf_f1_95": [25.0, 75.5],
        "vtf_f1_over_prior": -1.23,
        "people": 3,
    }
    assert second["vtf_f1"] is None


def test_a_threshold_of_a_row_goes_before_that_of_the_column():
    sheet = Sheet(
        "curve", "t", "Threshold", (Column("F1", "f1", "vtf"),), (Row("average", "0.3", None, (0.5,), 0.3),)
    )
    assert sheet.long_rows(FIXED)[0]["threshold"] == "0.3"
    assert sheet.to_dict()[0]["threshold"] == 0.3


def test_rows_without_a_count_have_no_column_for_it_and_the_average_a_line_before_it():
    rows = (Row("hat", "", None, (0.5,)), Row("average", "", None, (0.6,)))
    (table,) = Sheet("k", "t", "Group", COLUMNS[:1], rows, last_is_average=True).blocks()
    assert table.header == ("Group", "F1")
    assert table.rules == {0}


def test_signed_intervals_show_their_signs():
    assert interval_text((-0.01, 0.02), is_signed=True) == "-1.0 to +2.0"
    assert interval_text(None) == "–"


def test_details_are_all_sheets_then_the_notes_and_sheets_of_one_kind_are_one_list_in_json():
    chart = Chart("c", "x", "y", (), is_repeated=True)
    charted = Sheet("parts", "More parts", "Part", COLUMNS, SHEET.rows[:1], chart)
    details = Details("d", "s", "run", "openai", False, (SHEET, charted), ("a note",))
    assert [type(block) for block in details.blocks()] == [Table, Table, Chart, Notes]
    assert len(details.to_dict()["parts"]) == 3
    assert details.to_dict()["notes"] == ["a note"]
    assert len(details.long_rows()) == 11
