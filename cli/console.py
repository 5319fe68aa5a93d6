"""Results go to stdout, everything else to stderr. Only a terminal limits the width of a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vpar_cache.errors import printable

if TYPE_CHECKING:  # imported where they are needed: `vpar --help` pays for none of them
    from rich.console import RenderableType

    from vpar_cache.rendering.tables import Document

_NATURAL_WIDTH = 100_000
"""Of a file or a pipe: wider than every table, so that no line is broken."""


def stdout_width() -> int | None:
    """Return the columns of the terminal; None for a file or a pipe, where tables keep their natural width."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else None


def print_blocks(blocks: Sequence[RenderableType]) -> None:
    """Draw on stdout."""
    from rich.console import Console

    width = stdout_width()
    console = Console(width=width or _NATURAL_WIDTH, highlight=False)
    for block in blocks:
        console.print(block, soft_wrap=width is None)


def print_document(document: Document, format: str) -> None:
    """Write tables to stdout, in one of rendering.formats.FORMATS."""
    from vpar_cache.rendering.formats import render

    print_text(render(document, format, stdout_width()))


def print_text(text: str) -> None:
    """Write to stdout as it is."""
    sys.stdout.write(text)


def say(message: str) -> None:
    """Write a line to stderr, above a progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(printable(message), file=sys.stderr)
