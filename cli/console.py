"""Results go to stdout, everything else to stderr. Only a terminal, or COLUMNS, limits the width of a table."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from vpar_cache.errors import printable

if TYPE_CHECKING:  # imported where it is needed: `vpar --help` does not pay for it
    from vpar_cache.rendering.tables import Document

NARROWEST = 40
"""Columns that every table gets at least."""


def stdout_width() -> int | None:
    """Return COLUMNS, or the columns of the terminal; None for a file or a pipe: tables keep their width."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and 0 < len(told) < 6 and int(told):
        return max(NARROWEST, int(told))
    if not sys.stdout.isatty():
        return None
    from rich.console import Console

    return max(NARROWEST, Console().width)


def print_document(document: Document, format: str) -> None:
    """Write tables to stdout, in one of rendering.formats.FORMATS."""
    from vpar_cache.rendering.formats import render

    print_text(render(document, format, stdout_width(), styled=sys.stdout.isatty()))


def print_text(text: str) -> None:
    """Write to stdout as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()  # what goes wrong shows here


def say(message: str) -> None:
    """Write a line to stderr, above a progress bar if there is one."""
    from tqdm import tqdm

    with contextlib.suppress(OSError):  # a full or closed stderr: there is nowhere to say so
        tqdm.write(printable(message), file=sys.stderr)
