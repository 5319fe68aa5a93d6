"""What tests compare: the bytes of a cache, the direction of vectors, what runs leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features


def bytes_of(index: Path) -> dict[str, bytes]:
    """Return the contents of the index and its shards, by file name."""
    files = [index, *sorted(fmt.shard_folder(index).glob("shard-*.h5"))]
    return {path.name: path.read_bytes() for path in files}


def published(index: Path) -> list[str]:
    """Return the names of the published shards."""
    return sorted(path.name for path in fmt.shard_folder(index).glob("shard-*.h5"))


def leftovers(folder: Path) -> list[str]:
    """Return the partial files and locks anywhere below a folder."""
    return [path.name for path in folder.rglob(".*") if path.suffix in (".partial", ".lock")]


def rows_of(index: Path, name: str = "visual") -> NDArray[np.float16]:
    """Return all rows of a big array."""
    array = open_features(index).arrays[name]
    return array.gather(np.arange(array.shape[0]))


def least_cosine(one: Any, other: Any) -> float:
    """Return the least cosine between vectors of the last axis."""
    a, b = (np.asarray(x, np.float64) for x in (one, other))
    assert a.shape == b.shape
    return float(((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)).min())
