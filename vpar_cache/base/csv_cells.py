"""Cells of CSV files that a spreadsheet may open."""

from __future__ import annotations

from vpar_cache.errors import printable


def csv_cell(text: str) -> str:
    """Return `text` as a cell. A leading sign would be a formula in a spreadsheet, so it is quoted."""
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text
