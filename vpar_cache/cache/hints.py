"""NAME/hints.json: what spares a run work that was done before. No part of the cache format.

Each section belongs to one part of the program: which files were verified, which sources were read, which encoder
was built, how long encoding took. Deleting the file costs time, nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vpar_cache.base.files import read_plain, write_text
from vpar_cache.cache.format import shard_folder
from vpar_cache.errors import CacheError

HINTS_FILE = "hints.json"
HINTS_NAME = re.compile(r"hints(-\d+-of-\d+)?\.json")
"""Each array task writes a file of its own, so that a thousand of them do not write one."""
_MAX_BYTES = 256_000_000
ENCODE_SECONDS = "encode_seconds_per_tracklet"
"""Key of the section "timing": wall time of the last encoding, from JPEG to published shard."""


class Hints:
    """The hints of one cache. A missing, damaged or foreign file is the same as an empty one."""

    def __init__(self, index: Path, part: str = "") -> None:
        """`part`: the part that this process writes, as in `3-of-8`; all parts are read."""
        self._folder = shard_folder(index)
        self._path = self._folder / (f"hints-{part}.json" if part else HINTS_FILE)
        self._known: dict[str, dict[str, Any]] = {}
        for path in self._parts():
            _merge(self._known, _read(path))
        self._changed: dict[str, dict[str, Any]] = {}

    def get(self, section: str, key: str) -> Any:
        """Return what was stored under this key; None where there is nothing. Check its type before use."""
        return self._known.get(section, {}).get(key)

    def put(self, section: str, key: str, value: Any) -> None:
        """Store a JSON value; `save` writes it."""
        self._known.setdefault(section, {})[key] = value
        self._changed.setdefault(section, {})[key] = value

    def save(self) -> None:
        """Add what was put to what the file holds now. Best effort: a read-only cache stays usable."""
        if self._changed:
            self._write([self._path])

    def gather(self) -> None:
        """Save, and put what all parts hold into one file. No other process may be writing the cache."""
        parts = self._parts()
        if any(path != self._path for path in parts):
            self._write([*parts, self._path])
            for path in parts:
                if path != self._path:
                    path.unlink(missing_ok=True)

    def _write(self, paths: Sequence[Path]) -> None:
        stored: dict[str, dict[str, Any]] = {}
        for path in paths:
            _merge(stored, _read(path))
        _merge(stored, self._changed)
        self._changed = {}
        with suppress(CacheError):
            write_text(self._path, json.dumps(stored))

    def _parts(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("hints*.json") if HINTS_NAME.fullmatch(path.name))


def _merge(into: dict[str, dict[str, Any]], more: dict[str, dict[str, Any]]) -> None:
    for section, entries in more.items():
        into.setdefault(section, {}).update(entries)


def is_hints_file(path: Path) -> bool:
    """Return whether a file holds hints, or nothing at all."""
    return bool(_read(path)) or (path.is_file() and not path.stat().st_size)


def load_encode_seconds(index: Path) -> float | None:
    """Return the seconds per tracklet of the last encoding into this cache; None where that is not known."""
    seconds = Hints(index).get("timing", ENCODE_SECONDS)
    return seconds if isinstance(seconds, float) else None


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        stored = json.loads(read_plain(path, _MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {section: entries for section, entries in stored.items() if isinstance(entries, dict)}
