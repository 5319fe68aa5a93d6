"""What a published shard says of itself: for readers that map it, and for an extraction that resumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache import format as fmt
from vpar_cache.cache.hdf5 import (
    child,
    has_child,
    open_hdf5,
    read_array,
    read_attribute,
    read_json,
    read_text,
    read_texts,
    stored_extent,
)
from vpar_cache.cache.rows import Extent
from vpar_cache.errors import CacheError


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
    row_digests: dict[str, NDArray[np.uint8]]
    """(rows, 16) each, see cache_format.digest_rows."""


def read_shard_header(path: Path) -> ShardHeader:
    """Check the seal, then read the header. CacheError when the shard is damaged or of another make."""
    seal = fmt.check_seal(path)
    where, size = str(path), path.stat().st_size
    with open_hdf5(path) as file:
        arrays = {n: child(file, n, h5py.Dataset, where) for n in fmt.BIG_ARRAYS if has_child(file, n)}
        digests = child(file, fmt.ROW_DIGESTS, h5py.Group, where)
        return ShardHeader(
            visual_fingerprint=read_attribute(file, "visual_fingerprint", str, where),
            visual_config=read_json(file, "visual_config", dict, size, where),
            source_digest=read_attribute(file, "source_digest", str, where),
            environment=read_text(file, "environment", size, where),
            seal=seal,
            tracklet_ids=tuple(read_texts(file, "tracklet_id", None, size, where)),
            skipped=tuple((str(i), str(s), str(r)) for i, s, r in read_json(file, "skipped", list, size, where)),
            offsets={name: stored_extent(array, size, where) for name, array in arrays.items()},
            shapes={name: tuple(int(n) for n in array.shape) for name, array in arrays.items()},
            row_digests={
                name: read_array(digests, name, "u1", (len(array), fmt.DIGEST_BYTES), size, where)
                for name, array in arrays.items()
            },
        )


def shard_extents(
    path: Path, rows: int, fingerprint: str, big_shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Extent]:
    """Where a shard, whose seal was checked, keeps its rows of each big array.

    `big_shapes` are the index's; CacheError when the shard does not bear them out.
    """
    where, size = str(path), path.stat().st_size
    extents = {}
    with open_hdf5(path) as file:
        if read_attribute(file, "visual_fingerprint", str, where) != fingerprint:
            raise CacheError(f"{where} has another fingerprint than its index; extract the cache again")
        for name, shape in big_shapes.items():
            dataset = child(file, name, h5py.Dataset, where)
            offset = stored_extent(dataset, size, where)
            if dataset.dtype != np.dtype("<f2") or dataset.shape[1:] != shape[1:]:
                raise CacheError(f"{where}: {name} is {dataset.dtype} {dataset.shape}; extract it again")
            count = int(dataset.shape[0])
            if name != fmt.AUGMENTED and count != rows:  # only train tracklets have augmented rows
                raise CacheError(f"{where}: {name} has {count} rows, but its index lists {rows}; extract it again")
            extents[name] = Extent(path, offset, count)
    return extents
