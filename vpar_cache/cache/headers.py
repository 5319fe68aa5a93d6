"""What a published shard says of itself: read when an extraction resumes, and when the index is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpar_cache.cache import format as fmt
from vpar_cache.cache.hdf5 import open_hdf5
from vpar_cache.cache.seal import check_seal


@dataclass(frozen=True)
class ShardHeader:
    """All of a shard but its big arrays."""

    visual_fingerprint: str
    visual_config: dict[str, Any]
    source_digest: str
    environment: str
    """Canonical JSON: library versions and processor."""
    seal: str
    tracklet_ids: tuple[str, ...]
    skipped: tuple[tuple[str, str, str], ...]
    """(tracklet_id, split, reason)"""
    shapes: dict[str, tuple[int, ...]]
    """Of the big arrays, by name."""
    offsets: dict[str, int]
    """Where they start, in bytes."""


def read_shard_header(path: Path) -> ShardHeader:
    """Check the seal, then read the header. Raises CacheError for a damaged, foreign or untrusted file."""
    seal = check_seal(path)
    with open_hdf5(path) as file:
        arrays = {name: file.stored(name) for name in fmt.BIG_ARRAYS if name in file}
        return ShardHeader(
            visual_fingerprint=file.fingerprint("visual_fingerprint"),
            visual_config=file.json("visual_config", dict),
            source_digest=file.attribute("source_digest", str),
            environment=file.text("environment"),
            seal=seal,
            tracklet_ids=tuple(file.texts("tracklet_id")),
            skipped=tuple((str(i), str(s), str(r)) for i, s, r in file.json("skipped", list)),
            shapes={name: tuple(int(n) for n in dataset.shape) for name, (dataset, _) in arrays.items()},
            offsets={name: offset for name, (_, offset) in arrays.items()},
        )
