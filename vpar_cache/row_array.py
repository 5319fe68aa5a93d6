"""Rows of one array that lies in several shard files, gathered through memory maps.

Reading rows through h5py's fancy indexing is a hundred times slower than copying them out of a map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_THREADS = 2
"""Copying is bound by memory, not by cores: two threads reach its rate."""


@dataclass(frozen=True)
class Extent:
    """Where a shard holds its rows of the array: plain little-endian values, one row after the other."""

    path: Path
    offset: int
    """Bytes from the start of the file."""
    rows: int


class RowArray:
    """(N, *row_shape) over several extents; read-only, nothing is read before it is asked for."""

    def __init__(self, extents: Sequence[Extent], row_shape: tuple[int, ...], dtype: str = "<f2") -> None:
        self.extents = tuple(extents)
        self.dtype = np.dtype(dtype)
        self._maps: list[NDArray[Any]] = [
            np.memmap(e.path, self.dtype, "r", e.offset, (e.rows, *row_shape)) for e in extents if e.rows
        ]
        self._starts = np.cumsum([0] + [e.rows for e in extents if e.rows])  # (S + 1,)
        self.shape = (int(self._starts[-1]), *row_shape)

    def __len__(self) -> int:
        return self.shape[0]

    def followed_by(self, views: RowArray) -> RowArray:
        """Own rows, then each of the K views of each row of `views`: (M, K, *row_shape) becomes M * K rows."""
        count = views.shape[1]
        flat = [Extent(e.path, e.offset, e.rows * count) for e in views.extents]
        return RowArray([*self.extents, *flat], self.shape[1:], self.dtype.str)

    def gather(self, rows: NDArray[np.int64], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Copy `rows`, in their order, to (len(rows), *row_shape); into `out` where it is given."""
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        target = np.empty((len(rows), *self.shape[1:]), self.dtype) if out is None else out[: len(rows)]
        shards = np.searchsorted(self._starts, rows, side="right") - 1  # (len(rows),)
        local = rows - self._starts[shards]  # (len(rows),)

        def copy(part: range) -> None:
            for i in part:
                target[i] = self._maps[shards[i]][local[i]]

        if len(rows) < 2 * _THREADS:
            copy(range(len(rows)))
        else:
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(copy, (range(start, len(rows), _THREADS) for start in range(_THREADS))))
        return target

    def batches(self, rows: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[Any]]:
        """`rows` in batches; the next one is gathered while the caller works on the last.

        A batch is valid until the next is asked for: buffers are reused.
        """
        starts = range(0, len(rows), batch_size)
        buffers = [np.empty((min(batch_size, len(rows)), *self.shape[1:]), self.dtype) for _ in range(2)]
        with ThreadPoolExecutor(1) as ahead:
            pending = None
            for number, start in enumerate(starts):
                chosen = rows[start : start + batch_size]
                current = pending if pending is not None else ahead.submit(self.gather, chosen, buffers[0])
                following = rows[start + batch_size : start + 2 * batch_size]
                batch = current.result()
                if len(following):
                    pending = ahead.submit(self.gather, following, buffers[(number + 1) % 2])
                yield batch
