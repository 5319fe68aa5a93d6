"""Checks of single settings, canonical JSON, fingerprints."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from vpar_cache.base.files import hash_bytes
from vpar_cache.errors import UserError, nearest


def canonical_json(value: Any) -> str:
    """Return the one spelling of a value that is hashed and stored: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return blake3 of the canonical JSON, 64 hex digits."""
    return hash_bytes(canonical_json(settings).encode())


def check_choice(option: str, value: str, valid: tuple[str, ...]) -> None:
    """Raise UserError for a value that is none of `valid`."""
    if value not in valid:
        raise UserError(f"{option} {value!r} is unknown; {nearest(value, valid)}")


def check_at_least(option: str, value: float, low: float) -> None:
    """Raise UserError for a number below `low`, infinite or NaN."""
    if not (math.isfinite(value) and value >= low):
        raise UserError(f"{option} is {value}, but must be a number of at least {low}")
