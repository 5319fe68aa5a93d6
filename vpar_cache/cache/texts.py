"""Texts of a cache in the memory of their bytes. As Python strings those of 10 million rows take gigabytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


class Texts(Sequence[str]):
    """n texts; one is decoded when it is asked for. Equal to any sequence of the same texts."""

    def __init__(self, values: NDArray[Any]) -> None:
        """`values`: (n,) UTF-8 of a fixed length, or raw bytes (dtype V), which stand for their hex digits."""
        self.values = values

    @classmethod
    def of_digests(cls, values: Sequence[str]) -> Texts:
        """Return texts of 64 hex digits each, kept in 32 bytes."""
        return cls(np.frombuffer(bytes.fromhex("".join(values)), "V32"))  # (n,)

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, rows: int) -> str: ...
    @overload
    def __getitem__(self, rows: slice) -> Texts: ...
    def __getitem__(self, rows: int | slice) -> str | Texts:
        return Texts(self.values[rows]) if isinstance(rows, slice) else _decode(self.values[rows])

    def __iter__(self) -> Iterator[str]:
        return map(_decode, self.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __repr__(self) -> str:
        return f"Texts({list(self[:3])}{' and more' if len(self) > 3 else ''})"


def _decode(value: np.bytes_ | np.void) -> str:
    return value.tobytes().hex() if isinstance(value, np.void) else value.decode()
