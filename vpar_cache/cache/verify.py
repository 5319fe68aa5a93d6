"""`vpar verify`: every byte of a cache against its seals. HDF5 never parses a file whose seal is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vpar_cache.cache.damage import ShardInfo, check_shard
from vpar_cache.cache.features import read_index
from vpar_cache.errors import CacheError


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
    shards: tuple[ShardInfo, ...] = index.fields["shards"]
    total = path.stat().st_size + sum(shard.bytes for shard in shards)
    done = path.stat().st_size
    progress(done, total)
    problems = []
    for shard in shards:
        after = done + shard.bytes

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        try:
            check_shard(shard, advance)
        except CacheError as error:
            problems.append(str(error))
        done = after
        progress(done, total)
    return VerifyResult(path, len(shards), len(index.fields["tracklet_ids"]), total, tuple(problems))
