"""`vpar verify`: every byte of a cache against its seals. HDF5 never parses a file whose seal is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vpar_cache import cache_format as fmt
from vpar_cache.errors import CacheError
from vpar_cache.features import check_listed, read_index


@dataclass(frozen=True)
class VerifyResult:
    """What was read, and what is wrong."""

    index: Path
    num_shards: int
    num_tracklets: int
    num_bytes: int
    problems: tuple[str, ...]
    """A line a broken file; empty when every byte is as it was written."""


def verify_cache(path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> VerifyResult:
    """Check the seal of the index and of every shard that it lists; read nothing else.

    `progress` gets bytes read and bytes in all. A broken index is a CacheError, since nothing behind it can
    be trusted; broken shards are all listed.
    """
    index = read_index(path)
    shards = index.fields["shards"]
    index_bytes = path.stat().st_size
    total = index_bytes + sum(shard.bytes for shard in shards)
    done = index_bytes
    progress(done, total)
    problems = []
    start = 0
    ids = index.fields["tracklet_ids"]
    for shard in shards:

        def advance(count: int, base: int = done) -> None:
            progress(base + count, total)

        try:
            check_listed(shard)
            _check(shard.path, advance)
        except CacheError as error:
            held = ids[start : start + shard.rows]
            span = f"{held[0]} to {held[-1]}" if held else "no tracklet"
            problems.append(f"{error} (it holds {span})")
        done += shard.bytes
        progress(done, total)
        start += shard.rows
    return VerifyResult(path, len(shards), len(ids), total, tuple(problems))


def _check(path: Path, advance: Callable[[int], object]) -> None:
    """check_seal, with progress as the bytes of this file read so far."""
    read = 0

    def count(num_bytes: int) -> None:
        nonlocal read
        read += num_bytes
        advance(read)

    fmt.check_seal(path, count)
