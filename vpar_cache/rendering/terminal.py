"""Tables for a terminal or a pipe. Names are never cut or broken, so that they can be copied."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text

from vpar_cache.errors import printable
from vpar_cache.rendering.tables import Document, Notes, Table

_UNLIMITED = 100_000
"""Columns of the console that is drawn on; the tables are fitted to the width before."""


def terminal_text(document: Document, width: int | None, styled: bool = False) -> str:
    """Return all tables and notes of a document, charts left out.

    A table that is wider than `width` shows numbers for the names of systems and lists the names below, or breaks
    its headings at spaces. Columns that still do not fit stand in a further table. A system has the same number in
    all tables.
    """
    text = io.StringIO()
    console = Console(file=text, width=_UNLIMITED, force_terminal=styled, highlight=False)
    numbers: dict[str, int] = {}
    for block in (block for part in document.parts for block in part.blocks):
        if isinstance(block, Notes):
            for line in block.lines:
                console.print(Text(_wrapped(f"- {printable(line)}", width, "  "), style="dim"))
            console.print()
        elif isinstance(block, Table):
            table = _printable(block)
            console.print(Text(_wrapped(table.title, width), style="bold"))
            if table.caption:
                console.print(Text(_wrapped(table.caption, width)))
            for fitted, gap, names in _fitted(table, width, numbers):
                console.print(_rich_table(fitted, gap))
                for name in dict.fromkeys(names):  # a system may have several rows
                    console.print(Text(f"{numbers[name]:>3}  {name}"))
                console.print()
    return text.getvalue()


def _wrapped(text: str, width: int | None, indent: str = "") -> str:
    if width is None:
        return text
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _printable(table: Table) -> Table:
    return replace(
        table,
        title=printable(table.title),
        caption=printable(table.caption),
        header=tuple(map(printable, table.header)),
        rows=tuple(tuple(map(printable, row)) for row in table.rows),
    )


def _fitted(table: Table, width: int | None, numbers: dict[str, int]) -> Iterator[tuple[Table, int, list[str]]]:
    """Yield tables that fit, the gap between their columns, and the names that numbers stand for."""
    if width is None or _width(table, 2) <= width:
        yield table, 2, []
        return
    labels, names = table.num_labels, []

    def number(name: str) -> str:
        names.append(name)
        return str(numbers.setdefault(name, len(numbers) + 1))

    head = table.header[labels:]
    if table.systems_in == "columns":
        narrow = replace(table, header=(*table.header[:labels], *map(number, head)))
    elif table.systems_in == "rows":
        narrow = replace(table, rows=tuple((number(row[0]), *row[1:]) for row in table.rows))
    else:
        narrow = replace(table, header=(*table.header[:labels], *(title.replace(" ", "\n") for title in head)))
    gap = 2 if _width(narrow, 2) <= width else 1
    pages = list(_split(narrow, width, gap))
    for page in pages:
        yield page, gap, names if page is pages[-1] else []


def _split(table: Table, width: int, gap: int) -> Iterator[Table]:
    """Yield tables of as many number columns as fit beside the labels."""
    labels, start = table.num_labels, table.num_labels
    while start < len(table.header):
        stop = start + 1
        while stop < len(table.header) and _width(_columns(table, labels, start, stop + 1), gap) <= width:
            stop += 1
        yield _columns(table, labels, start, stop)
        start = stop


def _columns(table: Table, labels: int, start: int, stop: int) -> Table:
    def cut(row: tuple[str, ...]) -> tuple[str, ...]:
        return (*row[:labels], *row[start:stop])

    return replace(table, header=cut(table.header), rows=tuple(map(cut, table.rows)))


def _width(table: Table, gap: int) -> int:
    widths = _widths(table)
    return sum(widths) + gap * (len(widths) - 1)


def _widths(table: Table) -> list[int]:
    columns = zip(table.header, *table.rows, strict=True)
    return [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in columns]


def _rich_table(table: Table, gap: int) -> RichTable:
    """Cells are Text, never markup: a name such as "[red]" prints as it is."""
    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0))
    for i, (title, width) in enumerate(zip(table.header, _widths(table), strict=True)):
        justify: JustifyMethod = "left" if i < table.num_labels else "right"
        drawn.add_column(Text(title), justify=justify, vertical="bottom", no_wrap=True, width=width)
    for i, row in enumerate(table.rows):
        drawn.add_row(*map(Text, row), end_section=table.last_is_average and i == len(table.rows) - 2)
    return drawn
