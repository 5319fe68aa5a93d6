"""Rows of a cache as tensors on the device that trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpar_cache.cache.rows import RowArray

RESIDENT_SHARE = 0.6
"""Of a GPU's free memory, the share that rows may fill; the rest is for the model and its batches."""
_CHUNK_ROWS = 256


class DeviceRows:
    """Rows of an array, in batches on a device.

    On a GPU with enough free memory all rows are copied there once. Otherwise they are read from the shards, the
    next batch while the device computes.
    """

    def __init__(self, array: RowArray, device: torch.device, resident: bool | None = None) -> None:
        """Copy all rows to the device where `resident`, or where it is None and they fit."""
        self._array = array
        self._device = device
        self._all: Tensor | None = None
        if _fits(array, device) if resident is None else resident:
            self._all = torch.empty(array.shape, dtype=torch.float16, device=device)  # (N, *row_shape)
            start = 0
            for batch in array.batches(slice(None), _CHUNK_ROWS):
                self._all[start : start + len(batch)].copy_(torch.from_numpy(batch))
                start += len(batch)

    def batches(self, rows: NDArray[np.int64], batch_size: int) -> Iterator[Tensor]:
        """Yield `rows` in their order, float16 (B, *row_shape). A batch is valid until the next is asked for."""
        if self._all is not None:
            numbers = torch.from_numpy(rows).to(self._device)  # (n,)
            for start in range(0, len(rows), batch_size):
                yield self._all.index_select(0, numbers[start : start + batch_size])  # (B, *row_shape)
            return
        for batch in self._array.batches(rows, batch_size):
            yield torch.from_numpy(batch).to(self._device)  # (B, *row_shape)

    def windows(self, windows: Sequence[NDArray[np.int64]], batch_size: int) -> Iterator[Tensor]:
        """Yield the rows of all windows, each (w,), in their order, as `batches` does.

        Where rows are not on the device, a window is read as a whole, in the order of its files, while the device
        computes on the one before: the memory of three windows.
        """
        if self._all is not None or len(windows) == 1:
            yield from self.batches(np.concatenate(windows), batch_size)
            return
        left = torch.empty((0, *self._array.shape[1:]), dtype=torch.float16)  # (fewer than B, *row_shape)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(self._array.window, windows[0])
            for window in windows[1:]:
                rows = torch.cat([left, torch.from_numpy(reading.result())])  # (w, *row_shape)
                reading = pool.submit(self._array.window, window)
                whole = len(rows) - len(rows) % batch_size
                for batch in rows[:whole].split(batch_size) if whole else ():
                    yield batch.to(self._device)  # (B, *row_shape)
                left = rows[whole:].clone()  # without the memory of the window
            last = torch.cat([left, torch.from_numpy(reading.result())])  # (w, *row_shape)
            for batch in last.split(batch_size) if len(last) else ():
                yield batch.to(self._device)  # (B, *row_shape)


def _fits(array: RowArray, device: torch.device) -> bool:
    """Return whether all rows fit; False on a CPU, where the system keeps what was read in memory already."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return int(np.prod(array.shape)) * array.dtype.itemsize <= RESIDENT_SHARE * free
