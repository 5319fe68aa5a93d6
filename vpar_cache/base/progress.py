"""Progress of long work: a bar in a terminal, else a plain line every minute."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from typing import Any

from tqdm import tqdm

SECONDS = 60.0
"""Between two lines where stderr is no terminal."""


def progress(*arguments: Any, in_terminal: str | None = None, **options: Any) -> tqdm[Any]:
    """Return tqdm's bar, with its own arguments; where stderr is a file or a pipe, lines in its place.

    A line says how much is done, of how much, how fast, and how long the rest takes. `in_terminal`: tqdm's
    bar_format there.
    """
    make: Any = tqdm  # its overloads know no **options
    bar: tqdm[Any]
    if sys.stderr.isatty():
        bar = make(*arguments, bar_format=in_terminal, **options)
    else:
        line = "{desc}: {n_fmt} of {total_fmt} {unit}s, {rate_fmt}, {remaining} left{postfix}"
        bar = make(*arguments, file=_Lines(SECONDS), bar_format=line, mininterval=SECONDS, miniters=1, **options)
    return bar


class _Lines(io.StringIO):
    """Where tqdm draws its bar, again and again: each drawing is a line on stderr, at most one in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds, self._last = seconds, time.monotonic()

    def write(self, text: str) -> int:
        now = time.monotonic()
        if text.strip() and now - self._last >= self._seconds:
            self._last = now
            with contextlib.suppress(OSError):  # a full stderr must not end the work
                sys.stderr.write(f"{text.strip()}\n")
                sys.stderr.flush()
        return len(text)
