"""A shard against what its index lists: whether it is damaged, and whose rows the damage hit.

The index is sealed by itself, so it may say where a shard keeps its rows and what their digests are. With
that, a damaged shard is searched on raw bytes; HDF5 never parses it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from vpar_cache.base.files import hash_file
from vpar_cache.cache import format as fmt
from vpar_cache.cache.rows import Extent
from vpar_cache.errors import CacheError

_MEND = "run `vpar extract` again with the same options, it redoes only what is broken"
_MOST_NAMES = 3


@dataclass(frozen=True, eq=False)
class ListedRows:
    """A shard's rows of one big array, as the index lists them."""

    name: str
    extent: Extent
    row_bytes: int
    digests: NDArray[np.uint8]
    """(rows, 16), see cache_format.digest_rows."""
    tracklet_ids: Sequence[str]
    """Whose rows they are; /augmented has rows of train tracklets alone."""


@dataclass(frozen=True, eq=False)
class ShardInfo:
    """A shard as the index lists it."""

    path: Path
    rows: int
    bytes: int
    seal: str
    source_digest: str
    tracklet_ids: Sequence[str]
    arrays: tuple[ListedRows, ...]


def stat_shard(shard: ShardInfo) -> os.stat_result:
    """CacheError where there is no plain file; a link could lead out of the cache and is none."""
    try:
        found = shard.path.lstat()
    except OSError as error:
        raise CacheError(
            f"{shard.path}: {error.strerror}; it holds {_names(shard.tracklet_ids)}; {_MEND}"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise CacheError(f"{shard.path} is no plain file, as a shard must be; remove it, then {_MEND}")
    return found


def check_shard(shard: ShardInfo, progress: Callable[[int], object] | None = None) -> None:
    """Compare every byte with the index's listing. CacheError that names the arrays and tracklets hit.

    `progress` gets bytes read. Runs at disk speed; only a damaged shard is read a second time.
    """
    size = stat_shard(shard).st_size
    try:
        problem = _size_problem(shard, size) or _seal_problem(shard, progress)
    except OSError as error:
        problem = f"cannot be read ({error.strerror}; check the disk)"
    if problem:
        raise CacheError(f"{shard.path} {problem}: {'; '.join(_damaged_parts(shard, size))}; {_MEND}")


def _size_problem(shard: ShardInfo, size: int) -> str:
    return "" if size == shard.bytes else f"is damaged, {size} bytes long instead of {shard.bytes}"


def _seal_problem(shard: ShardInfo, progress: Callable[[int], object] | None) -> str:
    with shard.path.open("rb") as file:
        block = file.read(fmt.USER_BLOCK_BYTES)
    digest = hash_file(shard.path, fmt.USER_BLOCK_BYTES, progress)
    if block == fmt.seal_block(digest):
        return "" if digest == shard.seal else "is whole, but not the shard that its index lists"
    return "is damaged"


def _damaged_parts(shard: ShardInfo, size: int) -> list[str]:
    """`/visual of 0001C1T0001` for arrays that were hit, or that the damage lies in none of them."""
    parts: dict[tuple[str, ...], list[str]] = {}
    for rows in shard.arrays:
        if hit := tuple(rows.tracklet_ids[number] for number in _damaged_rows(rows, size)):
            parts.setdefault(hit, []).append(f"/{rows.name}")
    named = [f"{', '.join(arrays)} of {_names(hit)}" for hit, arrays in parts.items()]
    return named or [f"its header, outside the rows of {_names(shard.tracklet_ids)}"]


def _damaged_rows(rows: ListedRows, size: int) -> Iterator[int]:
    """The numbers of rows whose bytes are not those that were written."""
    with rows.extent.path.open("rb", buffering=0) as file:
        for number, digest in enumerate(rows.digests):
            start = rows.extent.offset + number * rows.row_bytes
            try:
                file.seek(start)
                data = file.read(max(0, min(rows.row_bytes, size - start)))
            except OSError:  # a bad place on the disk hits this row, and maybe not the next
                data = b""
            if blake3(data).digest(fmt.DIGEST_BYTES) != digest.tobytes():
                yield number


def _names(tracklet_ids: Sequence[str]) -> str:
    """All of a few tracklets; of many the first, the last and how many."""
    if len(tracklet_ids) <= _MOST_NAMES:
        return ", ".join(tracklet_ids) or "no tracklet"
    return f"{len(tracklet_ids)} tracklets from {tracklet_ids[0]} to {tracklet_ids[-1]}"
