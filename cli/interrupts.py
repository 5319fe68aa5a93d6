"""Ctrl-C and SIGTERM: the first asks long work to stop at a safe point, the second ends the program at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vpar_cache.base.callbacks import Stop

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
_received: list[int] = []
_asking = False
_keeps = True


def install() -> None:
    """Handle both signals from here on."""
    global _keeps
    _received.clear()
    _keeps = True
    for number in STATUS:
        signal.signal(number, _handle)


def exit_status() -> int | None:
    """Return the exit status of the first signal that arrived; None where none did."""
    return STATUS[signal.Signals(_received[0])] if _received else None


def last_words() -> str:
    """Return the line for a user who has interrupted the program."""
    if _keeps:
        return "interrupted: finished work is kept; run the same command again to continue\n"
    return "interrupted: nothing was written; the same command starts over\n"


@contextmanager
def stoppable(keeps: bool = True) -> Iterator[Stop]:
    """Yield a `stop` for work that asks it. In the block the first signal only makes it return True.

    `keeps`: the same command goes on from what is finished.
    """
    global _asking, _keeps
    _asking, _keeps = True, keeps
    try:
        yield lambda: bool(_received)
    finally:
        _asking = False


def _handle(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if not _asking or len(_received) > 1:
        raise KeyboardInterrupt
    # Not through sys.stderr, which may be in the middle of a write.
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"\nstopping; press Ctrl-C again to stop at once\n")
