"""Rows of one array that is stored in several shard files.

Rows are read with `preadv` straight to their place in a batch. Fancy indexing through h5py is a hundred times
slower; memory maps are as fast only while the files are in memory.
"""

from __future__ import annotations

import errno
import math
import os
import resource
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.files import read_failure
from vpar_cache.errors import CacheError

Rows = slice | Sequence[int] | NDArray[Any]
"""A slice, row numbers or a boolean mask."""
_Unread = deque[tuple[int, memoryview, int]]
"""For each row the number of its file, its memory in a batch, and where it starts in the file."""
_MOST_OPEN = 200
"""Files that an array keeps open, so that it needs no more of them however many shards a cache has."""


@dataclass(frozen=True)
class Extent:
    """Where a shard holds its rows of the array: plain little-endian values, one row after the other."""

    path: Path
    offset: int
    """Bytes from the start of the file."""
    rows: int


class RowArray:
    """An array of shape (N, *row_shape) over several extents; read-only, read when rows are asked for.

    Up to 200 files stay open: what is read is what was opened, whatever happens to their names. Of more, those
    that were read last stay open, and the others are opened again. Raises CacheError where one cannot be opened,
    or has become shorter when its rows are read.
    """

    def __init__(self, extents: Sequence[Extent], row_shape: tuple[int, ...], dtype: str = "<f2") -> None:
        self.extents = tuple(extents)
        self.dtype = np.dtype(dtype)
        filled = [extent for extent in extents if extent.rows]
        self._paths = paths = [extent.path for extent in filled]
        self._open = lru_cache(_MOST_OPEN)(lambda number: _OpenFile(paths[number]))
        for number in range(min(_MOST_OPEN, len(paths))):
            self._open(number)
        self._offsets = np.array([extent.offset for extent in filled], dtype=np.int64)  # (S,)
        self._starts = np.cumsum([0] + [extent.rows for extent in filled])  # (S + 1,)
        self.shape = (int(self._starts[-1]), *row_shape)
        self._row_bytes = math.prod(row_shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the files again in another process."""
        return RowArray, (self.extents, self.shape[1:], self.dtype.str)

    def followed_by(self, views: RowArray) -> RowArray:
        """Return own rows, then the K views of each row of `views`: (M, K, *row_shape) becomes M * K rows."""
        flat = [Extent(e.path, e.offset, e.rows * views.shape[1]) for e in views.extents]
        return RowArray([*self.extents, *flat], self.shape[1:], self.dtype.str)

    def gather(self, rows: Rows) -> NDArray[Any]:
        """Return a copy of the chosen rows, (n, *row_shape)."""
        numbers = row_numbers(rows, len(self))
        none = np.empty((0, *self.shape[1:]), self.dtype)
        return next(self.batches(numbers, max(1, len(numbers))), none)

    def batches(self, rows: Rows, batch_size: int) -> Iterator[NDArray[Any]]:
        """Yield the chosen rows in batches; while the caller works on one, the next two are read.

        Each is (batch_size, *row_shape), the last one may be shorter. A batch is valid until the next is asked
        for: three buffers take turns.
        """
        numbers = row_numbers(rows, len(self))
        shards, places = self._places(numbers)  # (n,) each
        starts = range(0, len(numbers), batch_size)
        shape = (min(batch_size, len(numbers)), *self.shape[1:])
        buffers = cycle([np.empty(shape, self.dtype) for _ in starts[:3]])
        begun: deque[tuple[_Unread, Future[None], NDArray[Any]]] = deque()
        with ThreadPoolExecutor(1) as pool:
            for start, buffer in zip(starts, buffers, strict=False):
                if len(begun) == 2:
                    yield self._finish(*begun.popleft())
                part = slice(start, start + batch_size)
                batch = buffer[: len(numbers[part])]  # (B, *row_shape)
                unread = deque(zip(shards[part].tolist(), self._parts(batch), places[part].tolist(), strict=True))
                begun.append((unread, pool.submit(self._read, unread), batch))
            while begun:
                yield self._finish(*begun.popleft())

    def window(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows (w,) in their order, (w, *row_shape), read in the order of the files.

        Rows that follow each other in a file are one read. It takes twice the memory of the rows.
        """
        ascending = np.unique(rows)  # (u,)
        read = np.empty((len(ascending), *self.shape[1:]), self.dtype)  # (u, *row_shape)
        shards, places = self._places(ascending)  # (u,) each
        follows = (np.diff(shards) == 0) & (np.diff(places) == self._row_bytes)  # (u - 1,)
        starts = [0, *(np.flatnonzero(~follows) + 1).tolist(), len(ascending)] if len(ascending) else []
        for start, end in pairwise(starts):
            part = read[start:end].data.cast("B")
            self._read(deque([(int(shards[start]), part, int(places[start]))]))
        return read[np.searchsorted(ascending, rows)]  # (w, *row_shape)

    def _places(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each row the number of its file, and where it starts in the file, in bytes; (n,) each."""
        shards = np.searchsorted(self._starts, numbers, side="right") - 1  # (n,)
        return shards, self._offsets[shards] + (numbers - self._starts[shards]) * self._row_bytes  # (n,), (n,)

    def _parts(self, batch: NDArray[Any]) -> list[memoryview]:
        """Return the memory of each row."""
        size, whole = self._row_bytes, batch.data.cast("B")
        return [whole[start : start + size] for start in range(0, len(whole), size)]

    def _finish(self, unread: _Unread, reading: Future[None], batch: NDArray[Any]) -> NDArray[Any]:
        """Help with a batch where the caller would have to wait, and return it complete."""
        self._read(unread)
        reading.result()
        return batch

    def _read(self, unread: _Unread) -> None:
        """Read rows until none is left; two threads may share them."""
        while unread:
            try:
                shard, part, place = unread.popleft()
            except IndexError:  # the other thread took the last one
                return
            file = self._open(shard)
            while part:
                try:
                    count = os.preadv(file.descriptor, [part], place)
                except OSError as error:
                    raise read_failure(self._paths[shard], error) from error
                if not count:
                    raise CacheError(f"{self._paths[shard]} became shorter; extract the cache again")
                part, place = part[count:], place + count


def row_numbers(rows: Rows, count: int) -> NDArray[np.int64]:
    """Return (n,) the numbers that NumPy would choose from `count` rows. Raises IndexError as NumPy does."""
    numbers: NDArray[np.int64] = np.arange(count)[list(rows) if isinstance(rows, tuple) else rows]
    if numbers.ndim != 1:
        raise IndexError(f"rows: got shape {numbers.shape}; expected a slice or one dimension")
    return numbers


class _OpenFile:
    """A file to read. It is closed when nobody holds it any more: never while another thread reads from it."""

    def __init__(self, path: Path) -> None:
        self.descriptor = _open(path)
        weakref.finalize(self, os.close, self.descriptor)


def _open(path: Path) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        try:
            return os.open(path, flags)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            # The usual limit, 1024, is less than the shards of a million tracklets.
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            return os.open(path, flags)
    except FileNotFoundError as error:
        raise CacheError(
            f"{path}: {error.strerror}; if `vpar extract` has replaced it meanwhile, run the same command again"
        ) from error
    except OSError as error:
        raise read_failure(path, error) from error
