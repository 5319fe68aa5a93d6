"""The output formats by name."""

from __future__ import annotations

from vpar_cache.base.checks import check_choice
from vpar_cache.rendering.tables import Document

FORMATS = ("rich", "markdown", "csv", "json")


def check_format(name: str) -> None:
    """Raise UserError for a format that is not one of FORMATS."""
    check_choice("--format", name, FORMATS)


def render(document: Document, format: str, width: int | None = None, styled: bool = False) -> str:
    """Return the document as text that ends in a newline.

    For `rich`: `width` in columns, None (a file or a pipe) lets every table have its natural width; `styled`: with
    the terminal's bold and dim type.
    """
    check_format(format)
    # Each imports what it needs: rich takes longer to import than the CSV takes to write.
    if format == "csv":
        from vpar_cache.rendering.csv import csv_text

        return csv_text(document)
    if format == "json":
        from vpar_cache.rendering.json import json_text

        return json_text(document)
    if format == "markdown":
        from vpar_cache.rendering.markdown import markdown_text

        return markdown_text(document)
    from vpar_cache.rendering.terminal import terminal_text

    return terminal_text(document, width, styled)
