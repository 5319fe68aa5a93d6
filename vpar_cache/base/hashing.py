"""Hashes of bytes and files, and fingerprints of settings: blake3, 64 hex digits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3

_CHUNK_BYTES = 8 << 20


def canonical_json(value: Any) -> str:
    """Return the one spelling of a value that is hashed and stored: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return blake3 of the canonical JSON, 64 hex digits."""
    return hash_bytes(canonical_json(settings).encode())


def hash_bytes(data: bytes) -> str:
    """Return blake3 of `data`, 64 hex digits."""
    return blake3(data).hexdigest()


def hash_file(path: Path, skip: int = 0) -> str:
    """Return blake3 of a file's bytes after the first `skip`, computed with all cores.

    Reads in chunks: a mapped file that another process makes shorter would kill this one.
    """
    hasher = blake3(max_threads=blake3.AUTO)
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        file.seek(skip)
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
    return hasher.hexdigest()
