"""Tables and notes as Markdown."""

from __future__ import annotations

import re

from vpar_cache.errors import printable
from vpar_cache.rendering.tables import Document, Notes, Table


def markdown_text(document: Document) -> str:
    """Return all tables and notes of a document, charts left out. Markdown syntax in names is escaped."""
    blocks = (block for part in document.parts for block in part.blocks)
    return "\n".join(_block(block) for block in blocks if isinstance(block, Table | Notes))


def _block(block: Table | Notes) -> str:
    if isinstance(block, Notes):
        return "".join(f"- {_escaped(line)}\n" for line in block.lines)
    alignment = [":--" if i < block.num_labels else "--:" for i in range(len(block.header))]
    lines = [[_escaped(cell) for cell in row] for row in (block.header, *block.rows)]
    lines.insert(1, alignment)
    caption = f"{_escaped(block.caption)}\n\n" if block.caption else ""
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"### {_escaped(block.title)}\n\n{caption}{table}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|~&$#])", r"\\\1", printable(text))
