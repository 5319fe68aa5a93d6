"""Interrupts that are not lost."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def no_lost_interrupts() -> Iterator[Callable[[], None]]:
    """Make sure that Ctrl-C and SIGTERM end the block; yields `check`, to be called now and then in long work.

    Python drops what a signal's handler raises in a finalizer or in the callback of a weak reference, and the
    objects of HDF5 have many of them. `check` and the end of the block raise again what was dropped. Handlers
    stay those of the program; in another thread than the main one, and without handlers, nothing is done.
    """
    came: list[int] = []
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handlers[number](number, frame)

    def check() -> None:
        if came:
            handlers[came[0]](came[0], None)

    def report_other(dropped: Any) -> None:
        if not (came and isinstance(dropped.exc_value, KeyboardInterrupt | SystemExit)):
            hook(dropped)

    if threading.current_thread() is threading.main_thread():
        installed = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        handlers.update({number: handler for number, handler in installed.items() if callable(handler)})
    hook, sys.unraisablehook = sys.unraisablehook, report_other
    try:
        for number in handlers:
            signal.signal(number, note)
        yield check
        check()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook
