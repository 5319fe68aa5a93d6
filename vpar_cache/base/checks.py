"""Checks of the values of options."""

from __future__ import annotations

import math
from pathlib import Path

from vpar_cache.errors import UserError, nearest


def check_choice(option: str, value: str, valid: tuple[str, ...]) -> None:
    """Raise UserError for a value that is none of `valid`."""
    if value not in valid:
        raise UserError(f"{option} {value!r} is unknown; {nearest(value, valid)}")


def check_between(option: str, value: float, low: float, high: float) -> None:
    """Raise UserError for a number below `low` or above `high`, or NaN."""
    check_at_least(option, value, low)
    if value > high:
        raise UserError(f"{option}: got {value}; expected at most {high}")


def check_at_least(option: str, value: float, low: float) -> None:
    """Raise UserError for a number below `low`, infinite or NaN."""
    if not (math.isfinite(value) and value >= low):
        raise UserError(f"{option}: got {value}; expected a number of at least {low}")


LARGEST_SEED = 2**63 - 1
"""The largest that PyTorch and NumPy both take."""


def check_whole(option: str, value: int, low: int, high: int) -> None:
    """Raise UserError for anything but a whole number from `low` to `high`."""
    if type(value) is not int or not low <= value <= high:
        raise UserError(f"{option}: got {value}; expected a whole number from {low} to {high}")


def check_new_file(option: str, path: Path, overwrite: bool) -> None:
    """Raise UserError where something has the name of a file to write, but for a file that may be replaced."""
    if path.is_dir():
        raise UserError(f"{option}: got {str(path)!r}, which is a folder; expected the name of a file")
    if not overwrite and (path.exists() or path.is_symlink()):
        raise UserError(
            f"{option}: {str(path)!r} exists already; replace it with --overwrite, or choose another name"
        )
