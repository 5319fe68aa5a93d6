"""Tables in a terminal: names whole, numbers all there, lines no longer than the terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.pages import NASTY, Pages
from vpar_cache.rendering.tables import Chart, Notes, Part, Table
from vpar_cache.rendering.terminal import terminal_text


def drawn(*blocks: Table | Notes | Chart, width: int | None = None) -> str:
    text = terminal_text(Pages([Part("p", (), blocks)]), width)
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def systems(count: int, where: str = "rows") -> Table:
    """A name has 40 characters, and five numbers stand beside it."""
    names = [f"mars-videopar-image-{i:02d}-a1b2c3 (VideoPAR x)" for i in range(count)]
    if where == "rows":
        header = ("System", "P", "R", "F1", "F1 95 %", "acc")
        rows = tuple(
            (name, *(f"{i}1.0{j}" for j in range(3)), "30.1 to 51.2", "9.00") for i, name in enumerate(names)
        )
    else:
        header = ("Group", *names)
        rows = tuple((group, *(f"{i}1.00" for i in range(count))) for group in ("bottom length", "average"))
    return Table("title", header, rows, systems_in=where)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["demo-vtf-0-a1b2c3 " * 20, "x" * 500])
def test_in_a_pipe_nothing_is_wrapped_or_cut(name: str) -> None:
    name = name.strip()
    text = drawn(
        Table(name, ("System", "F1"), ((name, "81.94"),), caption=name, systems_in="rows"), Notes((name,))
    )
    assert text.count(name) == 4
    assert len(text.splitlines()) == 8  # title, caption, head, line, row, blank, note, blank


@pytest.mark.parametrize("where", ["rows", "columns"])
@pytest.mark.parametrize("count", [1, 3, 9])
@pytest.mark.parametrize("width", [80, 100, 120])
def test_one_row_for_each_system_fits_with_its_name_whole(width: int, count: int, where: str) -> None:
    table = systems(count, where)
    text = drawn(table, width=width)
    assert max(map(len, text.splitlines())) <= width
    names = [row[0] for row in table.rows] if where == "rows" else list(table.header[1:])
    assert all(text.count(name) == 1 for name in names)
    assert text.count("title") == text.count("───\n") == 1  # one table
    assert all(cell in text for row in table.rows for cell in row[1:])


def test_names_that_do_not_fit_are_numbers_listed_below_and_the_same_in_every_table() -> None:
    rows, columns = systems(2, "rows"), systems(3, "columns")
    text = drawn(rows, columns, width=70)
    name = rows.rows[1][0]
    assert text.count(f"  2  {name}") == 2
    assert re.search(r"^2 +11\.00", text, re.MULTILINE)
    assert re.search(r"^Group +1 +2 +3$", text, re.MULTILINE)


def test_a_system_of_several_rows_is_listed_once_below() -> None:
    table = systems(2)
    twice = replace(table, rows=tuple(row for row in table.rows for _ in range(2)))
    text = drawn(twice, width=70)
    assert all(text.count(row[0]) == 1 for row in table.rows)


def test_names_that_fit_stay_in_their_rows() -> None:
    assert re.search(r"^mars-videopar-image-00-a1b2c3 \(VideoPAR x\) +01\.00", drawn(systems(1), width=90), re.M)


def test_headings_of_other_tables_break_at_spaces_and_columns_go_to_a_further_table() -> None:
    header = ("Part", *(f"videopar F1 over prior {i}" for i in range(4)))
    table = Table("title", header, (("all", "1.00", "2.00", "3.00", "4.00"),))
    assert "F1\n" in drawn(table, width=60)
    wide = Table("title", ("Part", *("wide" * 5 for _ in range(6))), (("all", *(f"{i}.00" for i in range(6))),))
    text = drawn(wide, width=50)
    assert text.count("all") == 3
    assert all(f"{i}.00" in text for i in range(6))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("abc-_/(", min_size=1, max_size=30), min_size=1, max_size=12), st.integers(40, 120))
def test_no_line_is_too_long_and_no_number_is_lost(names: list[str], width: int) -> None:
    numbers = tuple(f"{i}{i}.{i}{i}" for i in range(1, len(names) + 1))
    text = drawn(Table("t", ("Group", *names), (("hat", *numbers),), systems_in="columns"), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert all(text.split().count(number) == 1 for number in numbers)


def test_markup_prints_as_text_and_control_characters_as_escapes() -> None:
    table = Table(NASTY, ("System", NASTY), ((NASTY, "1.00"),), caption=NASTY)
    text = terminal_text(Pages([Part("p", (), (table, Notes((NASTY,))))]), None)
    assert text.count("[red]a|b[/]") == 5
    assert not {"\x1b", "\u202e"} & set(text)


def test_notes_wrap_at_words_and_charts_are_left_out() -> None:
    text = drawn(Notes(("word " * 30,)), Chart("a chart", "x", "y", ()), width=40)
    assert text.startswith("- word")
    assert "\n  word" in text
    assert "a chart" not in text
