"""Names from untrusted files, made harmless in CSV and Markdown."""

from __future__ import annotations

import re

from vpar_cache.errors import printable


def csv_cell(text: str) -> str:
    """Return `text` as a cell. A leading sign would be a formula in a spreadsheet, so it is quoted."""
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def escape_markdown(text: str) -> str:
    """Return `text` on one line, with the characters escaped that are syntax in Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|~&$#])", r"\\\1", printable(text))
