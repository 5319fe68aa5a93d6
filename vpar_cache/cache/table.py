"""What an index lists of its shards: files, seals, and where each keeps its rows of the big arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache import format as fmt
from vpar_cache.cache.damage import ListedRows, ShardInfo
from vpar_cache.cache.hdf5 import child, read_array
from vpar_cache.cache.rows import Extent
from vpar_cache.errors import CacheError

_VALUE_BYTES = 2


def read_shard_table(
    index: h5py.File,
    path: Path,
    file_bytes: int,
    big_shapes: Mapping[str, tuple[int, ...]],
    tracklet_ids: Sequence[str],
    splits: NDArray[np.str_],
) -> tuple[ShardInfo, ...]:
    """The shards, which together hold exactly the rows of `big_shapes`; anything else is a CacheError."""
    where = str(path)
    table = read_array(index, "shards", fmt.SHARD_ROW, (None,), file_bytes, where)
    extents = read_array(index, "extents", fmt.EXTENT_ROW, (len(table) * len(big_shapes),), file_bytes, where)
    group = child(index, fmt.ROW_DIGESTS, h5py.Group, where)
    digests = {
        name: read_array(group, name, "u1", (shape[0], fmt.DIGEST_BYTES), file_bytes, where)
        for name, shape in big_shapes.items()
    }
    shards: list[ShardInfo] = []
    taken = dict.fromkeys(big_shapes, 0)  # rows of each array in the shards so far
    start = 0
    for number, (name, rows, num_bytes, seal, source_digest) in enumerate(table.tolist()):
        shard_path = fmt.shard_folder(path) / _shard_file(name, path)
        if not 0 <= rows <= len(tracklet_ids) - start:
            raise CacheError(f"{path}: /shards lists more rows than there are tracklets; extract the cache again")
        ids = tracklet_ids[start : start + rows]
        own_splits = splits[start : start + rows]
        start += rows
        arrays = []
        listed = extents[number * len(big_shapes) : (number + 1) * len(big_shapes)].tolist()
        for entry, (array, shape) in zip(listed, big_shapes.items(), strict=True):
            owners = ids
            if array == fmt.AUGMENTED:
                owners = [name for name, split in zip(ids, own_splits, strict=True) if split == "train"]
            extent = Extent(shard_path, offset=entry[2], rows=entry[3])
            row_bytes = _VALUE_BYTES * math.prod(shape[1:])
            if entry[:2] != (name, array.encode()) or not _fits(extent, len(owners), row_bytes, num_bytes):
                raise CacheError(
                    f"{path}: /extents does not fit /{array} of {shard_path.name}; extract the cache again"
                )
            own_digests = digests[array][taken[array] :][: extent.rows]
            taken[array] += extent.rows
            arrays.append(ListedRows(array, extent, row_bytes, own_digests, owners))
        shards.append(
            ShardInfo(shard_path, rows, num_bytes, _text(seal), _text(source_digest), ids, tuple(arrays))
        )
    if start != len(tracklet_ids) or taken != {name: shape[0] for name, shape in big_shapes.items()}:
        raise CacheError(f"{path}: /shards lists {start} rows for {len(tracklet_ids)} tracklets; extract it again")
    return tuple(shards)


def _fits(extent: Extent, rows: int, row_bytes: int, file_bytes: int) -> bool:
    if extent.rows != rows:
        return False
    return not rows or fmt.USER_BLOCK_BYTES <= extent.offset <= file_bytes - rows * row_bytes


def _shard_file(name: bytes, path: Path) -> str:
    file = _text(name)
    if not fmt.SHARD_NAME.fullmatch(file):
        raise CacheError(f"{path} lists {file[:80]!r}, which is no shard name; extract the cache again")
    return file


def _text(value: bytes) -> str:
    return value.decode("ascii", "backslashreplace")
