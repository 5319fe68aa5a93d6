"""Rows of one array that lies in several shard files, gathered through memory maps.

Reading rows through h5py's fancy indexing is a hundred times slower than copying them out of a map.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_THREADS = 2
"""Copying is bound by memory, not by cores: two threads reach its rate."""
_BUFFERS = 3
"""Of a batch each: the caller's, the one being filled, and one for a thread that has done its share of that."""


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
        self._maps: list[NDArray[Any]] = [  # as plain arrays: memmap's own indexing is slower
            np.asarray(np.memmap(e.path, self.dtype, "r", e.offset, (e.rows, *row_shape)))
            for e in extents
            if e.rows
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
        target = np.empty((len(rows), *self.shape[1:]), self.dtype) if out is None else out[: len(rows)]
        with _Copiers(self._maps, *self._places(rows)) as copiers:
            copiers.begin(0, target)
            copiers.wait()
        return target

    def batches(self, rows: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[Any]]:
        """`rows` in batches; the next one is gathered while the caller works on the last.

        A batch is valid until the next is asked for: buffers are reused.
        """
        buffers = [np.empty((min(batch_size, len(rows)), *self.shape[1:]), self.dtype) for _ in range(_BUFFERS)]
        starts = range(0, len(rows), batch_size)
        wanted = ((start, buffers[i % _BUFFERS][: len(rows) - start]) for i, start in enumerate(starts))
        with _Copiers(self._maps, *self._places(rows)) as copiers:
            for start, buffer in islice(wanted, _BUFFERS - 1):
                copiers.begin(start, buffer)
            for _ in starts:
                for start, buffer in islice(wanted, 1):  # the last buffer, then the one that the caller gave back
                    copiers.begin(start, buffer)
                yield copiers.wait()

    def _places(self, rows: NDArray[np.int64]) -> tuple[list[int], list[int]]:
        """Of each row the map, and the row of that map."""
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        shards = np.searchsorted(self._starts, rows, side="right") - 1  # (len(rows),)
        return shards.tolist(), (rows - self._starts[shards]).tolist()


class _Copy:
    """One batch on its way: which rows go where, and who is told when the last of them is there."""

    def __init__(self, start: int, out: NDArray[Any]) -> None:
        self.start, self.out = start, out
        self.unfinished = list(range(_THREADS))  # popping is atomic: whoever gets 0 was the last
        self.result: SimpleQueue[BaseException | None] = SimpleQueue()


class _Copiers:
    """Threads that copy rows out of maps, one batch after the other, each its share of every batch.

    Plain queues: the futures of a pool would cost a tenth of the time that copying a batch takes.
    """

    def __init__(self, maps: Sequence[NDArray[Any]], shards: Sequence[int], local: Sequence[int]) -> None:
        """Row i is row `local[i]` of map `shards[i]`."""
        self._maps, self._shards, self._local = maps, shards, local
        self._shares: SimpleQueue[tuple[_Copy, int] | None] = SimpleQueue()
        self._begun: deque[_Copy] = deque()
        # Daemons: batches that nobody asks for any more must not keep the process alive.
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_THREADS)]

    def __enter__(self) -> _Copiers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._threads:
            self._shares.put(None)
        for thread in self._threads:
            thread.join()

    def begin(self, start: int, out: NDArray[Any]) -> None:
        """Copy the rows from number `start` on to `out`, as many as it holds, after what was begun before."""
        copy = _Copy(start, out)
        self._begun.append(copy)
        for share in range(_THREADS):
            self._shares.put((copy, share))

    def wait(self) -> NDArray[Any]:
        """The oldest of the begun batches, complete."""
        copy = self._begun.popleft()
        error = copy.result.get()
        if error is not None:
            raise error
        return copy.out

    def _work(self) -> None:
        while (share := self._shares.get()) is not None:
            copy, number = share
            try:
                self._copy_share(copy, number)
            except BaseException as error:  # noqa: BLE001, it belongs to the thread that waits
                copy.result.put(error)
            else:
                if copy.unfinished.pop() == 0:
                    copy.result.put(None)

    def _copy_share(self, copy: _Copy, number: int) -> None:
        first, end = (len(copy.out) * i // _THREADS for i in (number, number + 1))
        for i in range(first, end):
            row = copy.start + i
            copy.out[i] = self._maps[self._shards[row]][self._local[row]]
