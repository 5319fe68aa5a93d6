"""NAME/timing.json: how long encoding took, so that reports can say what caching saves. No part of the format."""

from __future__ import annotations

import json
from pathlib import Path

from vpar_cache.base.files import read_plain, write_text
from vpar_cache.cache.format import shard_folder

_FILE = "timing.json"
_MAX_BYTES = 10_000


def save_timing(index: Path, seconds: float, tracklets: int, device: str) -> None:
    """Record the wall time of encoding `tracklets`, from JPEG to published shard."""
    if tracklets:
        record = {"encode_seconds_per_tracklet": seconds / tracklets, "device": device}
        write_text(shard_folder(index) / _FILE, json.dumps(record))


def load_encode_seconds(index: Path) -> float | None:
    """Seconds per tracklet of the last extraction into this cache; None when it is not known."""
    try:
        record = json.loads(read_plain(shard_folder(index) / _FILE, _MAX_BYTES))
        return float(record["encode_seconds_per_tracklet"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None  # an absent or foreign record: the report says nothing of it
