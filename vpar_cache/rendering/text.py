"""The four renderings of what tables.py holds: rich, Markdown, CSV, JSON.

Names come from files of anybody's making, so every rendering escapes what would act in its medium: rich markup
and control characters, Markdown syntax, spreadsheet formulas.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vpar_cache.base.csv_cells import csv_cell
from vpar_cache.errors import UserError, nearest, printable
from vpar_cache.rendering.tables import LONG_COLUMNS, Block, Chart, Document, Notes, Table, chart_table

if TYPE_CHECKING:  # rich is imported by rich_blocks alone, so that the other formats do not pay for it
    from rich.console import RenderableType
    from rich.table import Table as RichTable

FORMATS = ("rich", "markdown", "csv", "json")

_GAP = 2  # between columns of a rich table
_MIN_HEADER, _MAX_HEADER = 8, 12  # characters of a number column's title in a terminal
_MIN_LABEL = 16  # characters of the first column in a terminal, before numbers move to a further table


def check_format(name: str) -> None:
    """Raises UserError for a format that is none of FORMATS."""
    if name not in FORMATS:
        raise UserError(f"format {name!r} is unknown; {nearest(name, FORMATS)}")


def render(document: Document, format: str) -> str:
    """`markdown`, `csv` or `json` as one text that ends in a newline; for `rich` see rich_blocks."""
    check_format(format)
    if format == "csv":
        return _csv(document.long_rows())
    if format == "json":
        return json.dumps(document.to_dict(), indent=2, allow_nan=False) + "\n"
    if format == "markdown":
        return "\n".join(map(_markdown, _textual(document.blocks())))
    raise UserError("format 'rich' is drawn on a console, not as text; use rich_blocks, or 'markdown'")


def _textual(blocks: Iterable[Block]) -> Iterator[Table | Notes]:
    """A chart becomes the table of its points, unless there is one already."""
    for block in blocks:
        if not isinstance(block, Chart):
            yield block
        elif not block.is_repeated:
            yield chart_table(block)


def _csv(rows: Iterable[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, LONG_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({c: value if _is_number(c, value) else csv_cell(value) for c, value in row.items()})
    return text.getvalue()


def _is_number(column: str, value: str) -> bool:
    """Of the column of numbers: a difference keeps its sign."""
    return column == "value" and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value) is not None


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|~&$#])", r"\\\1", printable(text))


def _markdown(block: Table | Notes) -> str:
    if isinstance(block, Notes):
        return "".join(f"- {_markdown_text(line)}\n" for line in block.lines)
    aligned = [":--" if i < block.num_labels else "--:" for i in range(len(block.header))]
    lines = [[_markdown_text(cell) for cell in row] for row in (block.header, *block.rows)]
    lines.insert(1, aligned)
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"### {_markdown_text(block.title)}\n\n{table}"


def rich_blocks(blocks: Sequence[Block], width: int | None) -> list[RenderableType]:
    """Renderables to print one after the other.

    `width` is that of a terminal: names then wrap, and columns that do not fit go to a further table. With
    None (not a terminal) everything keeps its natural width; print on a console that is wide enough.
    """
    from rich.text import Text

    drawn: list[RenderableType] = []
    for block in _textual(blocks):
        if isinstance(block, Notes):
            lines = (line for note in block.lines for line in _bullet(printable(note), width))
            drawn += [Text(line, style="dim") for line in lines]
            drawn.append(Text())
            continue
        table = _printable_table(block)
        drawn.append(Text(table.title if width is None else _wrap(table.title, width), style="bold"))
        for page in [table] if width is None else _pages(table, width):
            drawn += [_rich_table(page), Text()]
    return drawn


def _rich_table(table: Table) -> RichTable:
    """Cells are Text, never markup: a name such as "[red]" prints as it is."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, title in enumerate(table.header):
        justify: Any = "left" if i < table.num_labels else "right"
        drawn.add_column(Text(title), justify=justify, overflow="fold")
    for i, row in enumerate(table.rows):
        drawn.add_row(*(Text(cell) for cell in row), end_section=i in table.rules)
    return drawn


def _printable_table(table: Table) -> Table:
    return replace(
        table,
        title=printable(table.title),
        header=tuple(printable(title) for title in table.header),
        rows=tuple(tuple(printable(cell) for cell in row) for row in table.rows),
    )


def _pages(table: Table, width: int) -> list[Table]:
    """The table with names wrapped, its number columns dealt out to as many tables as the width asks for."""
    from rich.cells import cell_len

    numbers = range(table.num_labels, len(table.header))
    header = [_narrow(title) if i in numbers else title for i, title in enumerate(table.header)]

    def measure(column: int) -> int:
        cells = [header[column], *(row[column] for row in table.rows)]
        return max(cell_len(line) for cell in cells for line in cell.split("\n")) + _GAP

    room = width - sum(measure(i) for i in range(1, table.num_labels))
    label = min(measure(0), max(_MIN_LABEL, room - sum(measure(i) for i in numbers)))
    starts, left = [table.num_labels], room - label
    for i in numbers:
        left -= measure(i)
        if left < 0 and i > starts[-1]:
            starts.append(i)
            left = room - label - measure(i)
    header[0] = _wrap(header[0], label - _GAP)
    rows = [(_wrap(row[0], label - _GAP), *row[1:]) for row in table.rows]
    kept = slice(table.num_labels)
    return [
        replace(
            table,
            header=(*header[kept], *header[start:stop]),
            rows=tuple((*row[kept], *row[start:stop]) for row in rows),
        )
        for start, stop in pairwise([*starts, len(header)])
    ]


def _narrow(title: str) -> str:
    """The title of a number column on several lines, so that it takes little more room than its numbers."""
    longest = max(len(word) for word in title.split(" "))
    return _wrap(title, max(_MIN_HEADER, min(longest, _MAX_HEADER)))


def _wrap(text: str, width: int) -> str:
    """Lines of at most `width`, broken at spaces; a longer word breaks after - / or _, or anywhere."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + 1 + len(word) <= width and lines[-1]:
            lines[-1] += f" {word}"
            continue
        pieces = [word] if len(word) <= width else re.findall(rf"[^-/_]{{1,{width}}}[-/_]?|[-/_]", word)
        lines.append("")
        for piece in pieces:
            if len(lines[-1]) + len(piece) > width:
                lines.append("")
            lines[-1] += piece
    return "\n".join(line for line in lines if line)


def _bullet(line: str, width: int | None) -> list[str]:
    wrapped = line if width is None else _wrap(line, max(width - 2, _MIN_LABEL))
    first, *rest = wrapped.split("\n")
    return [f"- {first}", *(f"  {text}" for text in rest)]
