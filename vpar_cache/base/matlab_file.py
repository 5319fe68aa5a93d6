"""Reads matrices of numbers from MATLAB files of level 5, the format of the track tables of MARS.

scipy.io.loadmat does not check the type code that it reads from the file, so that a damaged file crashes the
process (scipy pull request 25349). Here every code, size and offset is checked first. Format: MathWorks,
MAT-File Format, chapter 1, level 5.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.files import read_bounded
from vpar_cache.errors import DataError

MAX_BYTES = 64_000_000
"""Of a file, and of what its compressed parts unpack to. The largest real one has 48 kB."""

_HEADER_BYTES = 128
_BYTE_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}  # version 1.0, then the order mark
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMBER_CLASSES = range(6, 16)  # double, single, int8 .. uint64; not cells, structs, text or sparse
_COMPLEX = 0x0800


def read_matrices(path: Path) -> dict[str, NDArray[np.float64]]:
    """Return the real two-dimensional matrices of numbers by variable name; other variables are ignored.

    Raises DataError where the file is damaged, too large, or of another level.
    """
    data = read_bounded(path, MAX_BYTES)
    order = _BYTE_ORDERS.get(data[124:_HEADER_BYTES])
    if order is None:
        raise DataError(f"{path} is not a MATLAB level 5 file; get it again, or save it in MATLAB with -v7")
    try:
        return _Reader(order).matrices(data[_HEADER_BYTES:])
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}); get it again") from error


class _Reader:
    """One pass over a file. Damage is a ValueError, struct.error or zlib.error."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.unpacked_left = MAX_BYTES

    def matrices(self, data: bytes) -> dict[str, NDArray[np.float64]]:
        found: dict[str, NDArray[np.float64]] = {}
        offset = 0
        while offset < len(data):
            kind, content, offset = self.element(data, offset)
            if kind == _COMPRESSED:
                kind, content, _ = self.element(self.unpack(content), 0)
            if kind == _MATRIX:
                found.update(self.matrix(content))
        return found

    def element(self, data: bytes, offset: int) -> tuple[int, bytes, int]:
        """Return (type, content, offset of the next element). Up to four bytes may be inside the tag."""
        kind, size = struct.unpack_from(f"{self.order}II", data, offset)
        if kind >> 16:
            kind, size, start, end = kind & 0xFFFF, kind >> 16, offset + 4, offset + 8
            if size > 4:
                raise ValueError(f"{size} bytes in a tag that holds 4")
        else:
            start = offset + 8
            end = start + size
            if kind != _COMPRESSED:
                end += -size % 8  # only compressed elements are not padded
        if start + size > len(data):
            raise ValueError(f"an element of {size} bytes ends beyond the file")
        return kind, data[start : start + size], end

    def unpack(self, content: bytes) -> bytes:
        inflater = zlib.decompressobj()
        data = inflater.decompress(content, self.unpacked_left)
        self.unpacked_left -= len(data)
        if not inflater.eof:
            raise ValueError(f"a compressed part is cut short, or unpacks to over {MAX_BYTES} bytes")
        return data

    def matrix(self, data: bytes) -> dict[str, NDArray[np.float64]]:
        """Return {name: matrix} where it is real, two-dimensional and of numbers, else {}."""
        _, flags, offset = self.element(data, 0)
        _, dims, offset = self.element(data, offset)
        _, name, offset = self.element(data, offset)
        (flag_word,) = struct.unpack_from(f"{self.order}I", flags)
        if flag_word & 0xFF not in _NUMBER_CLASSES or flag_word & _COMPLEX or len(dims) != 8:
            return {}
        rows, columns = struct.unpack(f"{self.order}ii", dims)
        kind, content, _ = self.element(data, offset)
        if kind not in _DTYPES:
            raise ValueError(f"type code {kind} is not a number")
        values = np.frombuffer(content, dtype=np.dtype(self.order + _DTYPES[kind]))
        if rows < 0 or columns < 0 or values.size != rows * columns:
            raise ValueError(f"{values.size} values for {rows} x {columns}")
        return {name.decode("ascii"): values.reshape(columns, rows).T.astype(np.float64)}  # stored by column
