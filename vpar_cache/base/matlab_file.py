"""Reads MATLAB files of level 5: the track tables of MARS, the labels of Market-1501 and PA-100K.

scipy.io.loadmat does not check the type code that it reads from the file, so that a damaged file crashes the
process (scipy pull request 25349). Here every code, size and offset is checked first. Format: MathWorks,
MAT-File Format, chapter 1, level 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Container
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.files import read_bounded
from vpar_cache.errors import DataError

MAX_BYTES = 64_000_000
"""Of a file, and of what its compressed parts unpack to. The largest, PA-100K's, unpacks to about 30 MB."""
MAX_DEPTH = 8
"""Of cells and structs in each other."""

_HEADER_BYTES = 128
_BYTE_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}  # version 1.0, then the order mark
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CELL, _STRUCT, _TEXT = 1, 2, 4
_NUMBER_CLASSES = range(6, 16)  # double, single, int8 .. uint64; not objects, sparse matrices, functions
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_COMPLEX = 0x0800

Value: TypeAlias = "NDArray[np.float64] | str | list[Value] | dict[str, Value] | None"
"""A real matrix of numbers (rows, columns); a text; the contents of a cell array, column by column; the fields of
a struct; None for anything else."""


def read_matrices(path: Path) -> dict[str, NDArray[np.float64]]:
    """Return the real two-dimensional matrices of numbers by variable name; other variables are ignored.

    Raises DataError where the file is damaged, too large, or of another level.
    """
    found = _read(path, _NUMBER_CLASSES)
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def read_variables(path: Path) -> dict[str, Value]:
    """Return all variables by name. Raises DataError as read_matrices, and for an array of several structs."""
    return _read(path, (_CELL, _STRUCT, _TEXT, *_NUMBER_CLASSES))


def _read(path: Path, classes: Container[int]) -> dict[str, Value]:
    data = read_bounded(path, MAX_BYTES)
    order = _BYTE_ORDERS.get(data[124:_HEADER_BYTES])
    if order is None:
        raise DataError(f"{path} is not a MATLAB level 5 file; get it again, or save it in MATLAB with -v7")
    try:
        return _Reader(order, classes).variables(data[_HEADER_BYTES:])
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}); get it again") from error


class _Reader:
    """One pass over a file. Damage is a ValueError, struct.error or zlib.error."""

    def __init__(self, order: str, classes: Container[int]) -> None:
        """`classes`: of the values that are read; all others are None."""
        self.order, self.classes = order, classes
        self.unpacked_left = MAX_BYTES

    def variables(self, data: bytes) -> dict[str, Value]:
        found: dict[str, Value] = {}
        offset = 0
        while offset < len(data):
            kind, content, offset = self.element(data, offset)
            if kind == _COMPRESSED:
                kind, content, _ = self.element(self.unpack(content), 0)
            if kind == _MATRIX:
                name, value = self.variable(content, 0)
                found[name] = value
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

    def variable(self, data: bytes, depth: int) -> tuple[str, Value]:
        """Return (name, value); the name of what lies in a cell or a struct is empty."""
        if not data and depth:  # how an empty cell may be written
            return "", None
        _, flags, offset = self.element(data, 0)
        _, dims, offset = self.element(data, offset)
        _, name_bytes, offset = self.element(data, offset)
        name = name_bytes.decode("ascii")
        (flag_word,) = struct.unpack_from(f"{self.order}I", flags)
        kind = flag_word & 0xFF
        if kind not in self.classes or flag_word & _COMPLEX or len(dims) != 8:
            return name, None
        rows, columns = struct.unpack(f"{self.order}ii", dims)
        if kind in _NUMBER_CLASSES:
            return name, self.matrix(data, offset, rows, columns)
        if rows < 0 or columns < 0:
            raise ValueError(f"an array of {rows} x {columns}")
        if kind == _CELL:
            return name, self.values(data, offset, rows * columns, depth)
        if kind == _STRUCT:
            return name, self.fields(data, offset, rows * columns, depth)
        return name, self.text(data, offset, rows, columns)

    def values(self, data: bytes, offset: int, count: int, depth: int) -> list[Value]:
        """Return the values of `count` arrays that follow each other."""
        if depth >= MAX_DEPTH:
            raise ValueError(f"cells and structs over {MAX_DEPTH} deep in each other")
        if count > len(data) // 8:
            raise ValueError(f"{count} values in {len(data)} bytes")
        found: list[Value] = []
        for _ in range(count):
            kind, content, offset = self.element(data, offset)
            if kind != _MATRIX:
                raise ValueError(f"type code {kind} is not an array")
            found.append(self.variable(content, depth + 1)[1])
        return found

    def fields(self, data: bytes, offset: int, count: int, depth: int) -> dict[str, Value]:
        if count != 1:
            raise ValueError(f"an array of {count} structs, where one was expected")
        _, length_bytes, offset = self.element(data, offset)
        (length,) = struct.unpack_from(f"{self.order}i", length_bytes)
        _, name_bytes, offset = self.element(data, offset)
        if length < 1 or len(name_bytes) % length:
            raise ValueError(f"{len(name_bytes)} bytes of field names of {length} each")
        starts = range(0, len(name_bytes), length)
        names = [name_bytes[start : start + length].partition(b"\0")[0].decode("ascii") for start in starts]
        if len(set(names)) < len(names):
            raise ValueError("a struct with one field twice")
        return dict(zip(names, self.values(data, offset, len(names), depth), strict=True))

    def text(self, data: bytes, offset: int, rows: int, columns: int) -> str:
        kind, content, _ = self.element(data, offset)
        if kind not in _ENCODINGS or rows > 1:
            raise ValueError(f"a text of {rows} rows and type code {kind}")
        ending = {"<": "-le", ">": "-be"}[self.order] if _ENCODINGS[kind] == "utf-16" else ""
        return content.decode(_ENCODINGS[kind] + ending) if columns else ""

    def matrix(self, data: bytes, offset: int, rows: int, columns: int) -> NDArray[np.float64]:
        kind, content, _ = self.element(data, offset)
        if kind not in _DTYPES:
            raise ValueError(f"type code {kind} is not a number")
        values = np.frombuffer(content, dtype=np.dtype(self.order + _DTYPES[kind]))
        if rows < 0 or columns < 0 or values.size != rows * columns:
            raise ValueError(f"{values.size} values for {rows} x {columns}")
        return values.reshape(columns, rows).T.astype(np.float64)  # (rows, columns), stored by column
