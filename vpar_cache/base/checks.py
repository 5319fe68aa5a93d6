"""Checks of the values of options."""

from __future__ import annotations

import math

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
