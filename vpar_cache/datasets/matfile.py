"""Plain number matrices from MATLAB files of level 5, the form that MARS keeps its track tables in.

Written out here because scipy.io.loadmat indexes a table of pointers by a type code that it takes from the
file unchecked, so that a damaged file ends the process without a message (scipy pull request 25349). Here
every code, size and offset is checked first. Format: MathWorks, MAT-File Format, chapter 1, level 5.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    """The real two-dimensional number matrices of the file, by variable name; others are passed over.

    Raises DataError where the file is damaged, over-large, or of another level.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    if len(data) > MAX_BYTES:
        raise DataError(f"{path} is over {MAX_BYTES} bytes; a track table cannot be that large")
    order = _BYTE_ORDERS.get(data[124:_HEADER_BYTES])
    if order is None:
        raise DataError(f"{path} is no MATLAB level 5 file; fetch it again, or save it in MATLAB with -v7")
    try:
        return _Reader(order).matrices(data[_HEADER_BYTES:])
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}); fetch it again") from error


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
        """(type, content, offset of the next element). Up to four bytes may stand inside the tag."""
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
        """{name: matrix} where it is real, two-dimensional and of numbers, else {}."""
        _, flags, offset = self.element(data, 0)
        _, dims, offset = self.element(data, offset)
        _, name, offset = self.element(data, offset)
        (flag_word,) = struct.unpack_from(f"{self.order}I", flags)
        if flag_word & 0xFF not in _NUMBER_CLASSES or flag_word & _COMPLEX or len(dims) != 8:
            return {}
        rows, columns = struct.unpack(f"{self.order}ii", dims)
        kind, content, _ = self.element(data, offset)
        if kind not in _DTYPES:
            raise ValueError(f"type code {kind} is no number")
        values = np.frombuffer(content, dtype=np.dtype(self.order + _DTYPES[kind]))
        if rows < 0 or columns < 0 or values.size != rows * columns:
            raise ValueError(f"{values.size} values for {rows} x {columns}")
        return {name.decode("ascii"): values.reshape(columns, rows).T.astype(np.float64)}  # stored by column
