"""Tables and notes as Markdown."""

from __future__ import annotations

from vpar_cache.base.escaping import escape_markdown
from vpar_cache.rendering.tables import Document, Notes, Table


def markdown_text(document: Document) -> str:
    """Return all tables and notes of a document, charts left out. Markdown syntax in names is escaped."""
    blocks = (block for part in document.parts for block in part.blocks)
    return "\n".join(_block(block) for block in blocks if isinstance(block, Table | Notes))


def _block(block: Table | Notes) -> str:
    if isinstance(block, Notes):
        return "".join(f"- {escape_markdown(line)}\n" for line in block.lines)
    alignment = [":--" if i < block.num_labels else "--:" for i in range(len(block.header))]
    lines = [[escape_markdown(cell) for cell in row] for row in (block.header, *block.rows)]
    lines.insert(1, alignment)
    caption = f"{escape_markdown(block.caption)}\n\n" if block.caption else ""
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"### {escape_markdown(block.title)}\n\n{caption}{table}"
