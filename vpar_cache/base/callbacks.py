"""What a caller may hand to long work: where its messages go, and when it should stop."""

from __future__ import annotations

import logging
from collections.abc import Callable

from vpar_cache.errors import Stopped

Say = Callable[[str], None]
"""Gets what a user should know, one line a call."""
Stop = Callable[[], bool]
"""Asked often; True ends the work at the next safe point."""


def log(message: str) -> None:
    """Send a message to the logger `vpar_cache`: the default where no `say` is given."""
    logging.getLogger("vpar_cache").info(message)


def never() -> bool:
    """Return False: the default where no `stop` is given."""
    return False


def check_stop(stop: Stop) -> None:
    """Raise Stopped if `stop` says so."""
    if stop():
        raise Stopped
