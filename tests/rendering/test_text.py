"""The four renderings: nothing cut, nothing acted on, nothing lost."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from vpar_cache.errors import UserError, printable
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.rendering.tables import LONG_COLUMNS, Chart, Notes, Table, long_rows
from vpar_cache.rendering.text import render, rich_blocks

NASTY = "[red]a|b[/] \\ `c` <i>*d*_e_\nf\x1b[31m\u202eg"
SCORES = ProtocolScores("vtf", 0.45, {"hat": {"f1": 0.5}}, {"f1": 0.81944})


class Document:
    def __init__(self, name="run", title="A title", notes=("A note.",)):
        self.name = name
        table = Table(title, ("System", "F1"), ((name, "81.94"), ("other", "–")), rules=frozenset({0}))
        self._blocks = [table, Notes(notes)]

    def blocks(self):
        return self._blocks

    def long_rows(self):
        return list(long_rows("demo", self.name, "run", "openai", {"vtf": SCORES}))

    def to_dict(self):
        return {"name": self.name}


def drawn(blocks, width=None, terminal=False):
    console = Console(width=width or 10_000, file=io.StringIO(), force_terminal=terminal, color_system=None)
    for block in rich_blocks(blocks, width):
        console.print(block)
    return console.file.getvalue()


def test_markdown_is_a_table_of_the_same_number_of_cells_whatever_the_names():
    text = render(Document(name=NASTY, title=NASTY, notes=(NASTY,)), "markdown")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert rows[1] == "| :-- | --: |"
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)[<>\[`*_]", text)
    assert len(text.splitlines()) == 8  # title, blank, four rows, blank, note: no name brings a line of its own


def test_markdown_blocks_stand_apart():
    assert render(Document(), "markdown") == (
        "### A title\n\n| System | F1 |\n| :-- | --: |\n| run | 81.94 |\n| other | – |\n\n- A note.\n"
    )


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1"])
def test_csv_quotes_what_a_spreadsheet_would_compute(name):
    rows = list(csv.DictReader(io.StringIO(render(Document(name), "csv"))))
    assert {row["system"] for row in rows} == {("'" if name[0] not in "\t\r" else "") + printable(name)}
    assert all(row["system"][0] not in "=+-@\t\r" for row in rows)


def test_csv_has_one_row_a_number_and_its_columns_in_order():
    assert render(Document(NASTY), "csv").splitlines()[0] == ",".join(LONG_COLUMNS)
    first, second = csv.DictReader(io.StringIO(render(Document(NASTY), "csv")))
    assert (first["table"], first["group"], first["value"]) == ("1", "average", "81.94")
    assert (second["table"], second["group"], second["value"]) == ("2", "hat", "50.00")
    assert first["threshold"] == "0.45"
    assert first["system"] == printable(NASTY)


def test_a_group_called_average_does_not_hide_the_average():
    scores = ProtocolScores("vtf", 0.45, {"average": {"f1": 0.5}}, {"f1": 0.7})
    rows = [(row["table"], row["value"]) for row in long_rows("d", "s", "run", "", {"vtf": scores})]
    assert rows == [("1", "70.00"), ("2", "50.00")]


def test_json_keeps_names_as_they_are():
    assert json.loads(render(Document(NASTY), "json")) == {"name": NASTY}


def test_rich_prints_markup_as_text_and_no_control_character():
    text = drawn(Document(name=NASTY, title=NASTY, notes=(NASTY,)).blocks(), width=100, terminal=True)
    assert text.count("[red]a|b[/]") == 3
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("name", ["demo-vtf-0-a1b2c3 " * 20, "x" * 500])
def test_off_a_terminal_nothing_is_wrapped_or_cut(name):
    name = name.strip()
    text = drawn(Document(name=name, title=name, notes=(name,)).blocks())
    assert text.count(name) == 3
    assert len(text.splitlines()) == 9  # title, head, line, row, rule, row, blank, note, blank


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text("abc-_ /(", min_size=1, max_size=40), min_size=1, max_size=8),
    st.integers(40, 120),
)
def test_on_a_terminal_no_line_is_longer_than_it_and_no_number_is_lost(names, width):
    numbers = tuple(f"{i}{i}.{i}{i}" for i in range(1, len(names) + 1))
    table = Table("title", ("Group", *names), (("hat", *numbers), ("x" * 30, *numbers)))
    text = drawn([table, Notes(tuple(names))], width, terminal=True)
    assert max(map(len, text.splitlines())) <= width
    for number in numbers:
        assert text.split().count(number) == 2
    letters = re.sub(r"[^abc]", "", "".join(names))
    found = re.sub(r"[^abc]", "", text)
    assert all(found.count(letter) >= 2 * letters.count(letter) for letter in "abc")


def test_columns_that_do_not_fit_go_to_a_further_table_with_the_labels():
    header = ("Group", *(f"demo-vtf-{i}-a1b2c3" for i in range(12)))
    rows = tuple((group, *(f"{i}.00" for i in range(12))) for group in ("hat", "hair"))
    text = drawn([Table("title", header, rows)], 80, terminal=True)
    assert text.count("Group") == text.count("hair") == 3
    assert all(f"{i}.00" in text for i in range(12))


def test_an_unknown_format_is_refused_with_the_valid_ones():
    with pytest.raises(UserError, match="format 'markdwn' is unknown; did you mean 'markdown'"):
        render(Document(), "markdwn")
    with pytest.raises(UserError, match="use rich_blocks"):
        render(Document(), "rich")


CHART = Chart("A chart", "x", "y", (("line", ((0.5, 61.25),)),))


@pytest.mark.parametrize("form", ["markdown", "rich"])
def test_a_chart_is_a_table_of_its_points_where_it_cannot_be_drawn_unless_there_is_one_already(form):
    class Charted(Document):
        def blocks(self):
            return [replace(CHART, is_repeated=self.name == "repeated"), Notes(("A note.",))]

    def text(document):
        return render(document, form) if form == "markdown" else drawn(document.blocks())

    assert "61.25" in text(Charted())
    assert "A chart" not in text(Charted("repeated"))
    assert "A note." in text(Charted("repeated"))


def test_a_negative_difference_stays_a_number_in_csv_and_only_there():
    class Signed(Document):
        def long_rows(self):
            return [{"system": "-1.50", "value": "-1.50"}, {"system": "a", "value": "=1+1"}]

    rows = list(csv.DictReader(io.StringIO(render(Signed(), "csv"))))
    assert [(row["system"], row["value"]) for row in rows] == [("'-1.50", "-1.50"), ("a", "'=1+1")]
    assert rows[0]["item"] == rows[0]["n"] == ""
