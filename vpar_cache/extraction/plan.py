"""Extraction as a list of idempotent shard tasks: what each shard is made of, and from which files.

Nothing here depends on devices, workers or batch sizes, so any number of them may share the list.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from vpar_cache.base.files import read_plain, write_text
from vpar_cache.cache.format import shard_name
from vpar_cache.datasets.draws import Source, draw_source
from vpar_cache.datasets.tracklet import Tracklet
from vpar_cache.errors import CacheError
from vpar_cache.extraction.config import ExtractConfig

MAX_MEMORY_BYTES = 256_000_000
SHARD_BYTES = 52 << 20
"""About the size of a shard: 256 tracklets of 197 x 512 float16 tokens."""


@dataclass(frozen=True)
class ShardTask:
    """One shard: its number and its sources, in tracklet order."""

    number: int
    sources: tuple[Source, ...]

    @property
    def file(self) -> str:
        return shard_name(self.number)


def plan_shards(tracklets: Sequence[Tracklet], config: ExtractConfig, row_bytes: int) -> list[ShardTask]:
    """Cut the tracklets into shards, in order. `row_bytes`: what one tracklet takes in a shard."""
    size = config.shard_size or max(1, SHARD_BYTES // row_bytes)
    sources = [
        draw_source(tracklet, config.frames, config.sampling, config.views, config.seed) for tracklet in tracklets
    ]
    chunks = (sources[start : start + size] for start in range(0, len(sources), size))
    return [ShardTask(number, tuple(chunk)) for number, chunk in enumerate(chunks)]


def digest_shard(source_digests: Sequence[str]) -> str:
    """The shard's `source_digest` from those of its tracklets."""
    return blake3("".join(source_digests).encode()).hexdigest()


def file_signature(task: ShardTask) -> str:
    """blake3 over draws, sizes and times of a task's files: changes when a source was touched or replaced.

    Both times: archives and copies set a file's own time to what it was, the file system's cannot be set.
    """
    hasher = blake3()
    for source in task.sources:
        hasher.update(f"{source.identity()}\n".encode())
        for name in source.files():
            try:
                stat = (source.tracklet.folder / name).stat()
                hasher.update(f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode())
            except OSError as error:
                hasher.update(f"{name} {error.errno}\n".encode())
    return hasher.hexdigest()


class SourceMemory:
    """NAME/.seen: which file sizes and times stood behind a source digest when contents were last read.

    No part of the cache format: deleting it costs one reading of the sources, nothing else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[str]] = {}
        try:
            known = json.loads(read_plain(path, MAX_MEMORY_BYTES))
        except (OSError, ValueError, RecursionError):
            return  # no memory: contents are read again
        if isinstance(known, dict):
            self._known = known

    def recall(self, file: str, signature: str) -> str | None:
        """The source digest remembered for this shard file under this signature."""
        entry = self._known.get(file)
        return entry[1] if isinstance(entry, list) and len(entry) == 2 and entry[0] == signature else None

    def remember(self, file: str, signature: str, digest: str) -> None:
        self._known[file] = [signature, digest]

    def save(self) -> None:
        """Best effort: a memory that cannot be written must not hide why a run ends."""
        with suppress(CacheError):
            write_text(self._path, json.dumps(self._known))
