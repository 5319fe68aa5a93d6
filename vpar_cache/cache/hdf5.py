"""Opening HDF5 for reading, and what an object must be before a byte of it is read.

A sealed file may still be untrusted: nothing here follows a link out of the file, runs a filter, reads an
object, or accepts a shape that does not fit into the file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import h5py
import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.files import read_failure
from vpar_cache.cache import format as fmt
from vpar_cache.errors import DamagedError

_MAX_SMALL_BYTES = 65_536
"""HDF5's own limit for compact datasets and attributes, which an untrusted file may exceed."""
_HEX = re.compile(rb"[0-9a-f]*")


class Texts(Sequence[str]):
    """n texts in the memory of their bytes: as Python strings those of 10 million rows take gigabytes.

    One is decoded when it is asked for. Equal to any sequence of the same texts.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        """`values`: (n,) UTF-8 of a fixed length, or raw bytes (dtype V), which stand for their hex digits."""
        self.values = values

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


@contextmanager
def open_hdf5(path: Path) -> Iterator[CheckedFile]:
    """Open a file of our format and version; its seal must be checked. Raises DamagedError for what is in it.

    Without HDF5's own locks: a sealed file never changes, and some network file systems have no locks. An error of
    the operating system is a CacheError and says nothing of the file's contents.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            checked = CheckedFile(file, path)
            if (name := checked.attribute("format", str)) != fmt.FORMAT:
                raise checked.error(f"its format is {name[:80]!r}; expected {fmt.FORMAT}")
            if (version := checked.attribute("format_version", int)) != fmt.FORMAT_VERSION:
                raise fmt.other_version(path, version)
            yield checked
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno:
            raise read_failure(path, error) from error
        raise DamagedError(f"{path} is not a readable feature cache: {error}; extract the cache again") from error


class CheckedFile:
    """An open HDF5 file. Each method checks an object, then returns its content; DamagedError if a check fails.

    Names may lead through groups: "text/prompt".
    """

    def __init__(self, file: h5py.File, path: Path) -> None:
        self._file = file
        self._path = path
        self._bytes = path.stat().st_size

    def error(self, problem: str) -> DamagedError:
        """Return the error for this file."""
        return DamagedError(f"{self._path}: {problem}; extract the cache again")

    def __contains__(self, name: str) -> bool:
        """Return whether there is any kind of link at the root. Follows none, so it opens no other file."""
        return bool(self._file.id.links.exists(name.encode()))

    def dataset(self, name: str) -> h5py.Dataset:
        """Return a dataset that is reached through hard links alone. Nothing of it is checked."""
        found: Any = self._file
        for part in name.split("/"):
            if not isinstance(found, h5py.Group) or not found.id.links.exists(part.encode()):
                raise self.error(f"{name!r} is missing")
            if found.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
                raise self.error(f"{part!r} is a link to elsewhere, which is refused")
            found = found[part]
        if not isinstance(found, h5py.Dataset):
            raise self.error(f"{name!r} is not a dataset")
        return found

    def stored(self, name: str) -> tuple[h5py.Dataset, int]:
        """Return a dataset whose plain bytes lie inside the file, and where they start (0: nowhere to map).

        Refuses objects, filters, external storage, other layouts and sizes beyond the file.
        """
        dataset = self.dataset(name)
        plist = dataset.id.get_create_plist()
        compact = plist.get_layout() == h5py.h5d.COMPACT
        # The layout comes first: to return its shape, a virtual dataset may open other files.
        if not compact and plist.get_layout() != h5py.h5d.CONTIGUOUS:
            raise self.error(f"{name} is not contiguous, which is refused")
        if plist.get_nfilters() or plist.get_external_count() or dataset.dtype.hasobject:
            raise self.error(f"{name} has filters, external storage or objects, which is refused")
        num_bytes = math.prod(dataset.shape) * dataset.dtype.itemsize
        if num_bytes == 0 or (compact and num_bytes <= _MAX_SMALL_BYTES):
            return dataset, 0
        offset = None if compact else dataset.id.get_offset()
        if offset is None or not 0 <= offset <= self._bytes - num_bytes:
            raise self.error(f"{name} {dataset.shape} is not inside the file")
        return dataset, int(offset)

    def array(self, name: str, dtype: str | np.dtype[Any], shape: tuple[int | None, ...]) -> NDArray[Any]:
        """Return a small array of exactly this dtype and shape (None: any length)."""
        dataset, _ = self.stored(name)
        fits = len(shape) == dataset.ndim and all(
            want in (None, have) for want, have in zip(shape, dataset.shape, strict=True)
        )
        if dataset.dtype != np.dtype(dtype) or not fits:
            raise self.error(f"{name} is {dataset.dtype} {dataset.shape}; expected {dtype} {shape}")
        return np.asarray(dataset[()])

    def texts(self, name: str, count: int | None = None) -> Texts:
        """Return a one-dimensional dataset of fixed-length UTF-8 strings."""
        dataset, _ = self.stored(name)
        if dataset.dtype.kind != "S" or dataset.ndim != 1 or count not in (None, dataset.shape[0]):
            wanted = "texts" if count is None else f"{count} texts"
            raise self.error(f"{name} is {dataset.dtype} {dataset.shape}; expected {wanted}")
        texts = Texts(dataset[()])  # (n,)
        try:
            for _ in texts:
                pass
        except UnicodeDecodeError as error:
            raise self.error(f"{name} is not UTF-8") from error
        return texts

    def virtual_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a virtual float16 dataset, whose sources must be shards in the index's own folder.

        It is read from the list of sources: asked for its own shape, a virtual dataset may open them.
        """
        dataset = self.dataset(name)
        if dataset.dtype != np.dtype("<f2") or not dataset.is_virtual:
            raise self.error(f"/{name} is not a virtual dataset of float16")
        folder = fmt.shard_folder(self._path).name
        shapes = set()
        for source in dataset.virtual_sources():
            shapes.add(tuple(int(length) for length in source.vspace.shape))
            parent, _, base = source.file_name.rpartition("/")
            if parent != folder or not fmt.SHARD_NAME.fullmatch(base) or source.dset_name != name:
                raise DamagedError(
                    f"{self._path}: /{name} takes rows from {source.file_name[:200]!r}; expected "
                    f"{folder}/shard-HEX.h5. An index keeps its name and moves together with its folder"
                )
        if len(shapes) != 1:
            raise self.error(f"the sources of /{name} do not agree on its shape")
        return shapes.pop()

    def text(self, name: str) -> str:
        """Return a scalar dataset of a fixed-length UTF-8 string."""
        dataset, _ = self.stored(name)
        if dataset.dtype.kind != "S" or dataset.shape != ():
            raise self.error(f"{name} is {dataset.dtype} {dataset.shape}; expected one text")
        try:
            return bytes(dataset[()]).decode()
        except UnicodeDecodeError as error:
            raise self.error(f"{name} is not UTF-8") from error

    def json(self, name: str, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
        """Return a scalar text that holds a JSON object or list."""
        try:
            value = json.loads(self.text(name))
        except (ValueError, RecursionError) as error:
            raise self.error(f"{name} is not JSON") from error
        if not isinstance(value, kind):
            raise self.error(f"{name} is not a JSON {kind.__name__}")
        return value

    def attribute(self, name: str, kind: type[str] | type[int]) -> Any:
        """Return a text or whole number of the root group."""
        if name not in self._file.attrs:
            raise self.error(f"attribute {name!r} is missing")
        stored = self._file.attrs.get_id(name)
        value = None
        if stored.shape == () and stored.get_storage_size() <= _MAX_SMALL_BYTES:
            value = self._file.attrs[name]
        if isinstance(value, np.integer):
            value = int(value)
        if type(value) is not kind:
            raise self.error(f"attribute {name!r} is not one {kind.__name__}")
        return value

    def fingerprint(self, name: str) -> str:
        """Return an attribute of 64 hex digits."""
        value: str = self.attribute(name, str)
        if not fmt.DIGEST.fullmatch(value):
            raise self.error(f"attribute {name!r} is not 64 hex digits")
        return value

    def digests(self, name: str, count: int) -> Texts:
        """Return a one-dimensional dataset of 64 hex digits each, 32 bytes of memory a row."""
        dataset, _ = self.stored(name)
        if dataset.shape != (count,) or (count and dataset.dtype != np.dtype("S64")):
            raise self.error(f"{name} is {dataset.dtype} {dataset.shape}; expected {count} digests")
        values = np.empty(len(dataset), "V32")  # (n,)
        for start in range(0, len(values), fmt.ROWS_AT_ONCE):
            digits = dataset[start : start + fmt.ROWS_AT_ONCE].tobytes()
            if not _HEX.fullmatch(digits):
                raise self.error(f"{name} is not of 64 hex digits each")
            values[start : start + fmt.ROWS_AT_ONCE] = np.frombuffer(bytes.fromhex(digits.decode()), "V32")
        return Texts(values)
