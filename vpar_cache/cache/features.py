"""Reading a feature cache: verified first, then row by row.

Seals are checked on raw bytes: the index's at every opening, a shard's on first use and again when its size or
time changed (remembered in the hint file). Rows are read straight from the shards; HDF5 never opens a shard here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache import format as fmt
from vpar_cache.cache.hints import Hints
from vpar_cache.cache.index import Index, ShardInfo, read_index
from vpar_cache.cache.rows import RowArray
from vpar_cache.cache.selection import FeatureRow, Selection, Several
from vpar_cache.cache.verify import check_shard, stat_shard

if TYPE_CHECKING:
    from vpar_cache.cache.torch_dataset import TokenDataset

_VERIFIED = "verified"


@dataclass(frozen=True, eq=False, repr=False)
class Features(Index):
    """An open cache of N tracklets.

    `features[3]` and `features["0001C1T0001"]` return one tracklet; a slice, a boolean mask, a list of numbers or
    of ids returns a `Selection`.
    """

    arrays: dict[str, RowArray]
    """The big float16 arrays by name; `visual` is always there."""

    @property
    def visual(self) -> RowArray:
        """Return the (N, tokens, D) mean tokens."""
        return self.arrays[fmt.VISUAL]

    @property
    def num_views(self) -> int:
        """Return K, the augmented draws stored for each train tracklet; 0 when there are none."""
        return self.arrays[fmt.AUGMENTED].shape[1] if fmt.AUGMENTED in self.arrays else 0

    def with_views(self) -> RowArray:
        """Return (N + N_train * K, tokens, D): `visual`, then view k of train tracklet i in row N + i * K + k."""
        if not self.num_views:
            return self.visual
        return self.visual.followed_by(self.arrays[fmt.AUGMENTED])

    def rows_of(self, split: str) -> NDArray[np.int64]:
        """Return the row numbers of a split, in cache order."""
        return np.flatnonzero(self.splits == split)

    @overload
    def __getitem__(self, rows: int | str) -> FeatureRow: ...  # type: ignore[overload-overlap]  # str is a list of str
    @overload
    def __getitem__(self, rows: Several) -> Selection: ...
    def __getitem__(self, rows: int | str | Several) -> FeatureRow | Selection:
        return self._all[rows]

    def select(self, rows: Several) -> Selection:
        """Return the tracklets that a slice, a boolean mask, a list of numbers or a list of ids chooses.

        No feature is read yet. Raises IndexError for a number and KeyError for an id that is not there.
        """
        return self._all.select(rows)

    def split(self, name: str) -> Selection:
        """Return the tracklets of `train`, `validation` or `test`."""
        return self._all.split(name)

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Read everything into memory, see `Selection.to_numpy`."""
        return self._all.to_numpy()

    def as_torch(self, *, half: bool = False) -> TokenDataset:
        """Return a torch Dataset of (tokens, labels), see `Selection.as_torch`."""
        return self._all.as_torch(half=half)

    @cached_property
    def _all(self) -> Selection:
        return Selection(self, np.arange(len(self)))


def open_features(path: str | os.PathLike[str], progress: Callable[[int], object] | None = None) -> Features:
    """Open a cache for reading. `progress` gets the bytes of each shard whose seal was checked.

    Raises CacheError that names a missing, damaged or invalid file, and UserError when `path` is not a file.
    """
    index = read_index(path)
    _check_shards(index.path, index.shards, progress)
    arrays = {
        name: RowArray([shard.extents[name] for shard in index.shards], shape[1:])
        for name, shape in index.shapes.items()
    }
    return Features(**vars(index), arrays=arrays)


def _check_shards(path: Path, shards: Sequence[ShardInfo], progress: Callable[[int], object] | None) -> None:
    """Check that each shard is, byte for byte, what the index lists.

    A shard that was checked before is recognised by inode, size and times. The time of the last change of the
    inode is among them, which a copy cannot bring along.
    """
    hints = Hints(path)
    for shard in shards:
        stat = stat_shard(shard)
        state = [stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, shard.seal]
        if hints.get(_VERIFIED, shard.path.name) != state:
            check_shard(shard)
            hints.put(_VERIFIED, shard.path.name, state)
            if progress is not None:
                progress(shard.bytes)
    hints.save()
