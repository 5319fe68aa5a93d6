"""The long table as CSV, a row for each number."""

from __future__ import annotations

import csv
import io

from vpar_cache.base.escaping import csv_cell
from vpar_cache.rendering.tables import COLUMNS, ROUNDED, Document, Number, rounded


def csv_text(document: Document) -> str:
    """Return all numbers of a document. Names that a spreadsheet would run as a formula are quoted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(number) for part in document.parts for number in part.numbers)
    return text.getvalue()


def _row(number: Number) -> list[str]:
    return [_cell(column, getattr(number, column), number.unit) for column in COLUMNS]


def _cell(column: str, value: str | float | None, unit: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return csv_cell(value)
    if column in ROUNDED:
        number = rounded(value, unit)
        return f"{number:.2f}" if unit in ("percent", "points") else str(number)
    return f"{value:g}"
