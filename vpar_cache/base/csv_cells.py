"""Text as a cell of a CSV file that a spreadsheet may open."""

from __future__ import annotations

from vpar_cache.errors import printable


def csv_cell(text: str) -> str:
    """A leading sign in a name can only be a spreadsheet formula, and is quoted."""
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text
