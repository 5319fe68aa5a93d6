"""Rows of one array that lies in several shard files, each read straight to its place in a batch.

Reading rows through h5py's fancy indexing is a hundred times slower. Memory maps are as fast while the files are
in memory; where they do not fit, the system reads maps page by page (measured: 20 times slower), a row at once.
"""

from __future__ import annotations

import errno
import math
import os
import resource
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.errors import CacheError

_BUFFERS = 3
"""Of a batch each: the caller's, the one that is filled meanwhile, and one more so that the thread never waits."""


@dataclass(frozen=True)
class Extent:
    """Where a shard holds its rows of the array: plain little-endian values, one row after the other."""

    path: Path
    offset: int
    """Bytes from the start of the file."""
    rows: int


class RowArray:
    """(N, *row_shape) over several extents; read-only, nothing is read before it is asked for.

    The files stay open: what is read is what was opened, whatever happens to their names. CacheError where one
    cannot be opened, or is shorter than it was when its rows are read.
    """

    def __init__(self, extents: Sequence[Extent], row_shape: tuple[int, ...], dtype: str = "<f2") -> None:
        self.extents = tuple(extents)
        self.dtype = np.dtype(dtype)
        filled = [e for e in extents if e.rows]
        self.paths = [e.path for e in filled]
        self.files: list[int] = []  # descriptors
        weakref.finalize(self, _close, self.files)
        self.files += map(_open, self.paths)
        self._offsets = np.array([e.offset for e in filled], dtype=np.int64)  # (S,)
        self._starts = np.cumsum([0] + [e.rows for e in filled])  # (S + 1,)
        self.shape = (int(self._starts[-1]), *row_shape)
        self.row_bytes = math.prod(row_shape) * self.dtype.itemsize

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
        with _Reader(self, rows) as reader:
            middle, end = len(rows) // 2, len(rows)
            reader.begin(_Buffer(target[:middle]), 0, middle)
            reader.begin(_Buffer(target[middle:]), middle, end)
            reader.wait()
            reader.wait()
        return target

    def batches(self, rows: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[Any]]:
        """`rows` in batches; the next one is gathered while the caller works on the last.

        A batch is valid until the next is asked for: buffers are reused.
        """
        shape = (min(batch_size, len(rows)), *self.shape[1:])
        buffers = cycle([_Buffer(np.empty(shape, self.dtype)) for _ in range(_BUFFERS)])
        starts = range(0, len(rows), batch_size)
        ahead = zip(buffers, starts, strict=False)
        with _Reader(self, rows) as reader:
            for buffer, start in islice(ahead, _BUFFERS - 1):
                reader.begin(buffer, start, min(start + batch_size, len(rows)))
            for _ in starts:
                for buffer, start in islice(ahead, 1):  # the last buffer, then the one that the caller gave back
                    reader.begin(buffer, start, min(start + batch_size, len(rows)))
                yield reader.wait()

    def places(self, rows: NDArray[np.int64]) -> tuple[list[int], list[int]]:
        """Of each row the descriptor of its file, and the byte where it starts there."""
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        shards = np.searchsorted(self._starts, rows, side="right") - 1  # (len(rows),)
        places = self._offsets[shards] + (rows - self._starts[shards]) * self.row_bytes  # (len(rows),)
        return [self.files[shard] for shard in shards.tolist()], places.tolist()


def _open(path: Path) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        try:
            return os.open(path, flags)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            _allow_more_files()
            return os.open(path, flags)
    except OSError as error:
        mend = "; raise the limit on open files (ulimit -n)" if error.errno == errno.EMFILE else ""
        raise CacheError(f"{path}: {error.strerror}{mend}") from error


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)


def _allow_more_files() -> None:
    """As many as the system lets this process open: the usual limit, 1024, is less than the shards of a million
    tracklets."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Buffer:
    """Where batches go, one after the other, and who is told when one is there."""

    def __init__(self, out: NDArray[Any]) -> None:
        self.out = out
        size = out[:1].nbytes
        place = out.data.cast("B") if size else memoryview(b"")
        self.rows = [[place[i * size : (i + 1) * size]] for i in range(len(out))]  # as preadv wants them
        self.done: SimpleQueue[Exception | None] = SimpleQueue()
        self.start = self.end = 0  # of the batch that it is for: row numbers


class _Reader:
    """A thread that reads batches of rows ahead of its caller, who helps where it would have to wait.

    So two threads copy where nothing else is to be done, and one where the caller computes. Handing each batch to
    a pool of two and waiting for it costs a tenth of the time that reading it from memory takes.
    """

    def __init__(self, array: RowArray, rows: NDArray[np.int64]) -> None:
        self._array = array
        self._files, self._places = array.places(rows)
        self._todo: SimpleQueue[_Buffer | None] = SimpleQueue()
        self._begun: deque[_Buffer] = deque()
        # A daemon: batches that nobody asks for any more must not keep the process alive.
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._todo.put(None)
        self._thread.join()

    def begin(self, buffer: _Buffer, start: int, end: int) -> None:
        """Read the rows from number `start` to before `end` into the buffer, after what was begun before."""
        buffer.start, buffer.end = start, end
        self._begun.append(buffer)
        self._todo.put(buffer)

    def wait(self) -> NDArray[Any]:
        """The oldest of the begun batches, complete."""
        buffer = self._begun.popleft()
        while buffer.done.empty():
            try:
                other = self._todo.get_nowait()
            except Empty:  # the thread has the last one
                break
            if other is not None:
                self._read(other)
        error = buffer.done.get()
        if error is not None:
            raise error
        return buffer.out[: buffer.end - buffer.start]

    def _work(self) -> None:
        while (buffer := self._todo.get()) is not None:
            self._read(buffer)

    def _read(self, buffer: _Buffer) -> None:
        try:
            self._fill(buffer)
        except Exception as error:  # noqa: BLE001, it belongs to the one who waits for this batch
            buffer.done.put(error)
        else:
            buffer.done.put(None)

    def _fill(self, buffer: _Buffer) -> None:
        size = self._array.row_bytes
        batch = slice(buffer.start, buffer.end)
        for target, file, place in zip(buffer.rows, self._files[batch], self._places[batch], strict=False):
            if os.preadv(file, target, place) != size:
                path = self._array.paths[self._array.files.index(file)]
                raise CacheError(f"{path} is shorter than it was when it was opened; extract the cache again")
