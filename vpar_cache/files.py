"""Atomic writes and hashing, nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

PARTIAL_SUFFIX = ".partial"
"""A file that is being written; one that nobody writes any more is a leftover and may be removed."""

_CHUNK_BYTES = 8 << 20


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of `path`; published under `path` only when the block succeeds.

    Order: write, fsync, rename, fsync the folder. A crash leaves the old file or the new one, never a
    mixture; at worst a leftover that ends in PARTIAL_SUFFIX.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        fsync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Publish a text file atomically, as UTF-8."""
    with atomic_path(path) as partial:
        partial.write_text(text, "utf-8")


def fsync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_bytes(data: bytes) -> str:
    """blake3 of `data`, 64 hex digits."""
    return blake3(data).hexdigest()


def hash_file(path: Path, skip: int = 0, progress: Callable[[int], object] | None = None) -> str:
    """blake3 of a file's bytes after the first `skip`, with all cores; `progress` gets bytes read.

    Reads in chunks rather than maps: a file that shrinks meanwhile must not kill the process.
    """
    hasher = blake3(max_threads=blake3.AUTO)
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        file.seek(skip)
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
            if progress is not None:
                progress(count)
    return hasher.hexdigest()
