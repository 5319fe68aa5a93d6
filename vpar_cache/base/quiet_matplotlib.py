"""Imports matplotlib without its own lines on the terminal."""

from __future__ import annotations

import logging
from typing import Any


def import_matplotlib() -> Any:
    """Return matplotlib, which would say on stderr where it has no folder for its settings (a read-only HOME)."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib as mpl  # takes half a second, and only pictures and pages need it

    return mpl
