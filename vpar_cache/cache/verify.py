"""`vpar verify`: every byte of a cache against its seals, on raw bytes. A damaged file is never opened by HDF5."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vpar_cache.base.files import read_failure
from vpar_cache.base.hashing import hash_file
from vpar_cache.cache.format import USER_BLOCK_BYTES
from vpar_cache.cache.index import ShardInfo, read_index
from vpar_cache.cache.seal import seal_block
from vpar_cache.errors import CacheError, DamagedError

_FIX = "run `vpar extract` again with the same options: it writes again only what is damaged"
_MOST_NAMES = 3


@dataclass(frozen=True)
class VerifyResult:
    """What was read, and what is wrong."""

    index: Path
    num_shards: int
    num_tracklets: int
    num_bytes: int
    problems: tuple[str, ...]
    """One line for each damaged shard; empty when every byte is as it was written."""


def verify_cache(
    path: str | os.PathLike[str], progress: Callable[[int, int], object] = lambda done, total: None
) -> VerifyResult:
    """Check the seal of the index and of every shard that it lists; read nothing else.

    `progress` gets the bytes read so far and the bytes in all, shard by shard. Raises CacheError for a damaged
    index, since nothing behind it can be trusted; damaged shards are all listed.
    """
    index = read_index(path)
    done = index.path.stat().st_size
    total = done + sum(shard.bytes for shard in index.shards)
    problems = []
    for shard in index.shards:
        progress(done, total)
        try:
            check_shard(shard)
        except CacheError as error:
            problems.append(str(error))
        done += shard.bytes
    progress(done, total)
    return VerifyResult(index.path, len(index.shards), len(index), total, tuple(problems))


def check_shard(shard: ShardInfo) -> None:
    """Compare every byte with what the index lists. Raises DamagedError that names the shard and its tracklets."""
    found = stat_shard(shard)
    try:
        problem = _problem(shard, found.st_size)
    except OSError as error:
        raise read_failure(shard.path, error) from error
    if problem:
        raise DamagedError(f"{shard.path} {problem}; it holds {_names(shard.tracklet_ids)}; {_FIX}")


def stat_shard(shard: ShardInfo) -> os.stat_result:
    """Return the shard's size and times. Raises CacheError unless it is a regular file, which a link is not."""
    try:
        found = shard.path.lstat()
    except FileNotFoundError as error:
        raise DamagedError(
            f"{shard.path}: {error.strerror}; it holds {_names(shard.tracklet_ids)}; {_FIX}"
        ) from error
    except OSError as error:
        raise read_failure(shard.path, error) from error
    refuse_other_kinds(shard.path, found.st_mode)
    return found


def refuse_other_kinds(path: Path, mode: int) -> None:
    """Raise CacheError, with how to copy what a link leads to, unless a shard is a regular file."""
    if stat.S_ISLNK(mode):
        raise CacheError(
            f"{path} is a symbolic link, which is not followed. Copy the file in its place: "
            f"cp -L {path} {path}.copy && mv {path}.copy {path}"
        )
    if not stat.S_ISREG(mode):
        raise CacheError(f"{path} is not a regular file, so it is no shard. Move it away, then {_FIX}")


def _problem(shard: ShardInfo, size: int) -> str:
    if size != shard.bytes:
        return f"is damaged: it has {size} bytes instead of {shard.bytes}"
    with shard.path.open("rb") as file:
        block = file.read(USER_BLOCK_BYTES)
    digest = hash_file(shard.path, skip=USER_BLOCK_BYTES)
    if block != seal_block(digest):
        return "is damaged: its bytes do not match its seal"
    return "" if digest == shard.seal else "is intact, but is not the shard that its index lists"


def _names(tracklet_ids: Sequence[str]) -> str:
    """Return all of a few tracklets; of many the first, the last and how many."""
    if len(tracklet_ids) <= _MOST_NAMES:
        return ", ".join(tracklet_ids) or "no tracklet"
    return f"{len(tracklet_ids)} tracklets from {tracklet_ids[0]} to {tracklet_ids[-1]}"
