"""stdout and stderr. Results go to stdout, everything else to stderr.

Only a terminal, or COLUMNS, limits the width of a table. Both streams may be closed, full, a closed pipe, or of an
encoding without our characters.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO, cast

from vpar_cache.errors import UserError, printable

if TYPE_CHECKING:  # imported where it is needed: `vpar --help` does not pay for it
    from vpar_cache.rendering.tables import Document

NARROWEST = 40
"""Columns that every table gets at least."""
CLOSED_PIPE = 141
"""The exit status where the reader of stdout has ended, as in `vpar report | head`: what a shell gives for it."""
_PLAIN = {
    **dict.fromkeys("–—‐‑−─━═╌╶╴╸╺", "-"),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼╇╈╞╡┡┩┏┓┗┛", "+"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    "…": ".",
    "✓": "v",
    "✗": "x",
    "×": "x",
    "•": "*",
    "█": "#",
    **dict.fromkeys("▏▎▍▌▋▊▉", "#"),
}
"""What stands for a character that the encoding lacks, one for one: columns of tables stay straight."""


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


class ClosedPipe(Exception):  # noqa: N818 - not an error
    """The reader of stdout has ended: there is nothing left to do."""


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Handle characters that an encoding lacks: a plain one in their place, else their escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text), error.end


def prepare() -> None:
    """Let stdout and stderr take any text, and be there at all."""
    codecs.register_error("vpar-plain", _replace)
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would take its place, and what is printed
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not where a caller put something else in its place
            stream.reconfigure(errors="vpar-plain")
    sys.stdout = cast(TextIO, _Stdout(sys.stdout))


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - for as long as the program runs


class _Stdout:
    """stdout, whose failures end the program in one line, or silently where nobody reads it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._plain_failures():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._plain_failures():
            self._stream.flush()

    @contextlib.contextmanager
    def _plain_failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # What is still in the buffer goes nowhere, or Python would try again when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if isinstance(error, BrokenPipeError):
                raise ClosedPipe from error
            raise UserError(f"stdout: {error.strerror}; free some space, or write the output elsewhere") from error


def write_stderr(text: str) -> None:
    """Write to stderr. Where that fails there is nowhere to say so, and the work goes on."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
