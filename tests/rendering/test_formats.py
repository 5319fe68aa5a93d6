"""Markdown, CSV and JSON: nothing acted on, nothing lost."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from tests.support.pages import NASTY, Pages, number
from vpar_cache.errors import UserError, printable
from vpar_cache.rendering.formats import check_format, render
from vpar_cache.rendering.tables import COLUMNS, POINTS, Chart, Notes, Part, Table


def document(name: str = "run") -> Pages:
    table = Table(name, ("System", "F1"), ((name, "81.94"), ("other", "–")))
    numbers = (number(system=name, value=81.9449, n=12), number(system=name, metric="x", value=-1.5, unit=POINTS))
    return Pages([Part(name, numbers, (table, Chart(name, "x", "y", ()), Notes((name,))))])


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(document(name), "csv"))))


def test_markdown_is_a_table_and_notes_without_charts() -> None:
    page = Pages([Part("p", (), (Table("T", ("A", "F1"), (("run", "1.00"),), caption="All."), Notes(("note",))))])
    assert render(page, "markdown") == "### T\n\nAll.\n\n| A | F1 |\n| :-- | --: |\n| run | 1.00 |\n\n- note\n"


def test_markdown_has_the_same_cells_whatever_the_names() -> None:
    text = render(document(NASTY), "markdown")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [3, 3, 3, 3]
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)[<>\[`*_]", text)
    assert len(text.splitlines()) == 8  # title, blank, four rows, blank, note: no name adds a line


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", " =1"])
def test_csv_quotes_what_a_spreadsheet_would_compute_and_leaves_numbers(name: str) -> None:
    assert [(row["system"], row["value"]) for row in rows(name)] == [(f"'{name}", "81.94"), (f"'{name}", "-1.50")]


def test_csv_has_one_row_for_each_number_and_all_columns() -> None:
    first, second = rows(NASTY)
    assert tuple(first) == COLUMNS
    assert (first["system"], first["threshold"], first["n"], first["low"]) == (printable(NASTY), "0.45", "12", "")
    assert second["unit"] == "points"


def test_json_has_typed_numbers_the_notes_and_names_as_they_are() -> None:
    found = json.loads(render(document(NASTY), "json"))
    assert found["notes"] == [NASTY]
    assert tuple(found["numbers"][0]) == COLUMNS
    first = found["numbers"][0]
    assert (first["system"], first["value"], first["threshold"], first["n"]) == (NASTY, 81.94, 0.45, 12)
    assert first["low"] is None


def test_csv_and_json_hold_the_same_numbers() -> None:
    found = json.loads(render(document(), "json"))["numbers"]
    assert [float(row["value"]) for row in rows("run")] == [one["value"] for one in found]


def test_an_unknown_format_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"--format 'markdwn'.*'markdown'"):
        check_format("markdwn")
