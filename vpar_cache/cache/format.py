"""What the writer and the reader of a feature cache agree on: names, version, dtypes.

A cache is `NAME.h5` (the index, the commit mark) and the folder `NAME/` beside it with the shards. Every file
starts with a 512-byte HDF5 user block that holds its seal, see `seal.py`. cache/README.md describes the format.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.hashing import fingerprint
from vpar_cache.errors import CacheError

FORMAT = "vpar-features"
FORMAT_VERSION = 2
USER_BLOCK_BYTES = 512
ALIGNMENT_BYTES = 512
"""Arrays start at a multiple of this; HDF5 allows no more than the size of the user block."""
FIRST_ARRAY_BYTES = 4096
"""/visual, written first, starts at a multiple of this."""

VISUAL = "visual"
FRAME_EMBEDDINGS = "frame_embeddings"
AUGMENTED = "augmented"
FRAME_TOKENS = "frame_tokens"
BIG_ARRAYS = (VISUAL, FRAME_EMBEDDINGS, AUGMENTED, FRAME_TOKENS)
"""The float16 arrays that are stored in shards."""
SHARD_BYTES = 52 << 20
"""About the size of a shard: 256 tracklets of 197 x 512 float16 tokens."""
MOST_VIRTUAL = 500
"""Shards of a cache whose index has virtual datasets. HDF5 keeps every source open that it has read, and where the
system allows no more open files, the rows of the next source read as NaN without an error.
"""

ROWS_AT_ONCE = 100_000
"""Rows of an index that are converted at once, so that ten million need little memory beyond their own."""

SPLITS = ("train", "validation", "test")
"""In the order of the rows of an extracted cache."""
NO_SPLIT = "none"
"""Of a row whose split is not known (yet): it neither trains nor tests."""
KEPT_DATASET = "own"
"""The dataset of a cache that `vpar predict --keep-features` wrote. Labels and splits come later, or never."""

SHARD_ROW = np.dtype([("file", "S64"), ("rows", "<i8"), ("bytes", "<i8"), ("blake3", "S64")])
"""A row of the index's /shards."""
EXTENT_ROW = np.dtype([("file", "S64"), ("dataset", "S32"), ("offset", "<i8"), ("rows", "<i8")])
"""A row of the index's /extents: where a shard holds its rows of a big array, in bytes from its start."""

SHARD_NAME = re.compile(r"shard-[0-9a-f]{16}\.h5")
SHARD_GLOB = "shard-*.h5"
"""What a file must not be called in the folder of a cache unless it is a shard."""
DIGEST = re.compile(r"[0-9a-f]{64}")


def shard_folder(index: Path) -> Path:
    """Return the folder of an index's shards: cache/mars for cache/mars.h5."""
    return index.with_suffix("")


def shard_name(visual_fingerprint: str, source_digests: Sequence[str], skipped_digests: Sequence[str]) -> str:
    """Return the file name of a shard, which follows from what it was made of.

    `source_digests`: of its rows, in order; `skipped_digests`: of the tracklets that were left out. Shards of
    other settings, sources or order have other names, so that none is ever written over another.
    """
    plan = {"visual": visual_fingerprint, "rows": list(source_digests), "skipped": list(skipped_digests)}
    return f"shard-{fingerprint(plan)[:16]}.h5"


def follow_link(index: Path) -> Path:
    """Return the index that a symbolic link leads to: its shards lie beside it, not beside the link."""
    return Path(os.path.realpath(index)) if index.is_symlink() else index


def count_shared_people(
    person_ids: NDArray[np.int32], splits: Sequence[str] | NDArray[np.str_], people_known: bool
) -> int:
    """Return how many people are in train and in test; 0 where person ids are invented, since nobody can tell."""
    if not people_known:
        return 0
    train, test = (person_ids[_belong_to(split, splits)] for split in ("train", "test"))  # (n,) each
    return len(np.unique(test[np.isin(test, train)]))


def count_distinct(values: NDArray[Any]) -> int:
    """Return how many of (n,) values differ. `np.unique` would take several times their memory."""
    ordered = np.sort(values, kind="stable")  # (n,)
    return min(1, len(values)) + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def _belong_to(split: str, splits: Sequence[str] | NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return (N,) which rows belong to a split. Compared in parts: as one array, a list takes 20 bytes a row."""
    starts = range(0, len(splits), ROWS_AT_ONCE)
    return np.concatenate([np.asarray(splits[start : start + ROWS_AT_ONCE]) == split for start in starts])


def other_version(path: Path, version: int) -> CacheError:
    """Return the error for a cache of another format version."""
    return CacheError(
        f"{path}: got cache format {version}; expected format {FORMAT_VERSION}. Extract the cache again to "
        "another --out, or use the version of vpar-cache that wrote it"
    )
