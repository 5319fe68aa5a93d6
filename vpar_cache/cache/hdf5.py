"""Opening HDF5 for reading, and what an object must be before a byte of it is believed.

A sealed file may still come from a stranger: nothing here follows a link out of the file, runs a filter,
reads an object, or trusts a shape that the file's own size does not bear out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache import format as fmt
from vpar_cache.errors import CacheError

_MAX_RANK = 5
_MAX_COMPACT_BYTES = _MAX_ATTRIBUTE_BYTES = 65_536
"""HDF5's own limits, which a hostile file need not keep."""
_MAX_TEXTS = 5_000_000


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """A file of our format and version, whose seal the caller has checked; HDF5's errors become CacheError."""
    try:
        with h5py.File(path, "r") as file:
            if read_attribute(file, "format", str, str(path)) != fmt.FORMAT:
                raise CacheError(f"{path} is no {fmt.FORMAT} file; give the index that `vpar extract` wrote")
            version = read_attribute(file, "format_version", int, str(path))
            if version != fmt.FORMAT_VERSION:
                raise fmt.other_version(path, version)
            yield file
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise CacheError(f"{path} is no readable feature cache: {error}; extract it again") from error


def child(parent: h5py.Group, name: str, kind: type[h5py.Group] | type[h5py.Dataset], where: str) -> Any:
    """A hard-linked child of the expected kind; CacheError for a missing one, a link or another kind."""
    if not has_child(parent, name):
        raise CacheError(f"{where} has no {name!r}: not a cache that this program wrote; extract it again")
    if parent.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise CacheError(f"{where}: {name!r} is a link to elsewhere, which is refused; extract the cache again")
    found = parent[name]
    if not isinstance(found, kind):
        raise CacheError(f"{where}: {name!r} is no {kind.__name__.lower()}; extract the cache again")
    return found


def has_child(parent: h5py.Group, name: str) -> bool:
    """True for any kind of link. Unlike `name in parent` it follows none, so it opens no other file."""
    return bool(parent.id.links.exists(name.encode()))


def stored_extent(dataset: h5py.Dataset, file_bytes: int, where: str) -> int:
    """Byte offset of a plain contiguous dataset that lies inside the file (0 for an empty one).

    Raises CacheError for object dtypes, filters, external storage, other layouts and impossible sizes.
    """
    name = dataset.name
    plist = dataset.id.get_create_plist()
    compact = plist.get_layout() == h5py.h5d.COMPACT
    problem = None
    # The layout comes first: to tell its shape, a virtual dataset may open other files.
    if not compact and plist.get_layout() != h5py.h5d.CONTIGUOUS:
        problem = "is not contiguous"
    elif plist.get_nfilters():
        problem = "has filters"
    elif plist.get_external_count():
        problem = "keeps its bytes in another file"
    elif dataset.dtype.hasobject:
        problem = "holds objects"
    elif dataset.ndim > _MAX_RANK:
        problem = f"has {dataset.ndim} dimensions"
    if problem:
        raise CacheError(f"{where}: {name} {problem}, which is refused; extract the cache again")
    num_bytes = math.prod(dataset.shape) * dataset.dtype.itemsize
    if num_bytes == 0 or (compact and num_bytes <= _MAX_COMPACT_BYTES):
        return 0
    offset = None if compact else dataset.id.get_offset()
    if offset is None or offset < 0 or offset + num_bytes > file_bytes:
        raise CacheError(f"{where}: {name} {dataset.shape} does not lie inside the file; extract the cache again")
    return int(offset)


def read_array(
    parent: h5py.Group,
    name: str,
    dtype: str | np.dtype[Any],
    shape: tuple[int | None, ...],
    file_bytes: int,
    where: str,
) -> NDArray[Any]:
    """A small dataset of exactly this dtype and shape (None: any length)."""
    dataset = child(parent, name, h5py.Dataset, where)
    stored_extent(dataset, file_bytes, where)
    fits = len(shape) == dataset.ndim and all(
        want in (None, have) for want, have in zip(shape, dataset.shape, strict=True)
    )
    if dataset.dtype != np.dtype(dtype) or not fits:
        raise CacheError(
            f"{where}: {name} is {dataset.dtype} {dataset.shape}, but must be {dtype} {shape}; extract it again"
        )
    return np.asarray(dataset[()])


def read_texts(parent: h5py.Group, name: str, count: int | None, file_bytes: int, where: str) -> list[str]:
    """A one-dimensional dataset of fixed-length UTF-8 strings."""
    dataset = child(parent, name, h5py.Dataset, where)
    stored_extent(dataset, file_bytes, where)
    fits = dataset.ndim == 1 and count in (None, dataset.shape[0]) and dataset.shape[0] <= _MAX_TEXTS
    if dataset.dtype.kind != "S" or not fits:
        raise CacheError(
            f"{where}: {name} is {dataset.dtype} {dataset.shape}, but must be {count} texts; extract it again"
        )
    return _decode(dataset[()].tolist(), name, where)


def read_text(parent: h5py.Group, name: str, file_bytes: int, where: str) -> str:
    """A scalar dataset of a fixed-length UTF-8 string."""
    dataset = child(parent, name, h5py.Dataset, where)
    stored_extent(dataset, file_bytes, where)
    if dataset.dtype.kind != "S" or dataset.shape != ():
        raise CacheError(
            f"{where}: {name} must be a text, but is {dataset.dtype} {dataset.shape}; extract it again"
        )
    return _decode([bytes(dataset[()])], name, where)[0]


def read_json(
    parent: h5py.Group, name: str, kind: type[dict[str, Any]] | type[list[Any]], file_bytes: int, where: str
) -> Any:
    """A scalar text that holds a JSON object or list."""
    try:
        value = json.loads(read_text(parent, name, file_bytes, where))
    except (ValueError, RecursionError) as error:
        raise CacheError(f"{where}: {name} is no JSON; extract the cache again") from error
    if not isinstance(value, kind):
        raise CacheError(f"{where}: {name} is no JSON {kind.__name__}; extract the cache again")
    return value


def read_attribute(file: h5py.File, name: str, kind: type[str] | type[int], where: str) -> Any:
    """A scalar text or whole number on the root group; fingerprints must be 64 hex digits."""
    if name not in file.attrs:
        raise CacheError(f"{where} has no attribute {name!r}: not a cache that this program wrote")
    stored = file.attrs.get_id(name)
    if stored.shape != () or stored.get_storage_size() > _MAX_ATTRIBUTE_BYTES:
        raise CacheError(f"{where}: attribute {name!r} must be a single {kind.__name__}; extract the cache again")
    value = file.attrs[name]
    if kind is int and isinstance(value, np.integer):
        return int(value)
    if kind is str and isinstance(value, str):
        if name.endswith("_fingerprint") and not re.fullmatch(r"[0-9a-f]{64}", value):
            raise CacheError(f"{where}: {name} is no fingerprint of 64 hex digits; extract the cache again")
        return value
    raise CacheError(f"{where}: attribute {name!r} must be a {kind.__name__}; extract the cache again")


def _decode(values: list[bytes], name: str, where: str) -> list[str]:
    try:
        return list(map(bytes.decode, values))
    except UnicodeDecodeError as error:
        raise CacheError(f"{where}: {name} is not UTF-8; extract the cache again") from error
