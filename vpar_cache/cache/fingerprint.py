"""Comparing the settings of a cache with those of a new run, for errors that say what differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vpar_cache.errors import CacheError


def differing_fields(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return `name: theirs -> ours` for each setting that differs, by name."""
    names = sorted({*ours, *theirs})
    return [f"{n}: {theirs.get(n)!r} -> {ours.get(n)!r}" for n in names if ours.get(n) != theirs.get(n)]


def other_settings(index: Path, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> CacheError:
    """Return the error for a cache whose features have other settings than this run."""
    fields = "; ".join(differing_fields(ours, theirs))
    return CacheError(
        f"{index} holds features of other settings ({fields}). Choose another --out, or replace them with "
        "--overwrite"
    )
