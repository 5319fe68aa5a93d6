"""What the writer and the reader of a feature cache agree on: names, version, seal.

A cache is `NAME.h5` (the index, the commit mark) and the folder `NAME/` beside it with the shards. Every
file starts with a 512-byte HDF5 user block that holds the *seal*: the blake3 of all bytes after it. The
seal is checked on raw bytes before HDF5 opens the file, so that damage is never parsed. It detects
accidents, not attackers: anybody can seal a file. cache/README.md describes the whole format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from vpar_cache.base.files import hash_file
from vpar_cache.errors import CacheError

FORMAT = "vpar-features"
FORMAT_VERSION = 1
USER_BLOCK_BYTES = 512
ALIGNMENT_BYTES = 512
"""Arrays start at a multiple of this; HDF5 allows no more than the size of the user block."""
FIRST_ARRAY_BYTES = 4096
"""/visual, written first, starts at a multiple of this."""

VISUAL = "visual"
FRAME_EMBEDDINGS = "frame_embeddings"
AUGMENTED = "augmented"
FRAME_TOKENS = "frame_tokens"
BIG_ARRAYS = (VISUAL, FRAME_EMBEDDINGS, AUGMENTED, FRAME_TOKENS)
"""The float16 arrays that live in shards and that the index shows as virtual datasets."""

ROW_DIGESTS = "row_blake3"
"""The group, in index and shards, that has for each big array the digests of its rows: seals find damage,
these say where it lies."""
DIGEST_BYTES = 16

SHARD_ROW = np.dtype(
    [("file", "S64"), ("rows", "<i8"), ("bytes", "<i8"), ("blake3", "S64"), ("source_digest", "S64")]
)
"""A row of the index's /shards."""
EXTENT_ROW = np.dtype([("file", "S64"), ("dataset", "S32"), ("offset", "<i8"), ("rows", "<i8")])
"""A row of the index's /extents: where a shard holds its rows of a big array, in bytes from its start."""

SHARD_NAME = re.compile(r"shard-\d{5,9}\.h5")
_SEAL = re.compile(rb"vpar-seal (\d+) blake3:([0-9a-f]{64})\n\0*")


def shard_folder(index: Path) -> Path:
    """cache/mars.h5 -> cache/mars"""
    return index.with_suffix("")


def shard_name(number: int) -> str:
    return f"shard-{number:05d}.h5"


def digest_rows(array: NDArray[Any]) -> NDArray[np.uint8]:
    """(rows, ...) -> (rows, 16): of each row's bytes, as they are stored, the first 16 bytes of the blake3."""
    digests = [blake3(row.tobytes()).digest(DIGEST_BYTES) for row in array]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(len(array), DIGEST_BYTES)


def write_seal(path: Path) -> str:
    """Seal a closed HDF5 file that has a user block of 512 bytes; returns the digest."""
    digest = hash_file(path, skip=USER_BLOCK_BYTES)
    with path.open("r+b") as file:
        file.write(seal_block(digest))
    return digest


def seal_block(digest: str) -> bytes:
    """The user block of a file whose other bytes have this digest."""
    return f"vpar-seal {FORMAT_VERSION} blake3:{digest}\n".encode().ljust(USER_BLOCK_BYTES, b"\0")


def read_seal(path: Path) -> str:
    """The digest that a file claims, without checking it. CacheError when there is no readable seal."""
    try:
        with path.open("rb") as file:
            block = file.read(USER_BLOCK_BYTES)
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror}; a feature cache is what `vpar extract` wrote") from error
    match = _SEAL.fullmatch(block)
    if match is None or len(block) != USER_BLOCK_BYTES:
        raise CacheError(
            f"{path} has no vpar seal in its first {USER_BLOCK_BYTES} bytes: damaged, or not a vpar cache; "
            "run `vpar extract` again with the same options, it redoes only what is broken"
        )
    if int(match[1]) != FORMAT_VERSION:
        raise other_version(path, int(match[1]))
    return match[2].decode()


def other_version(path: Path, version: int) -> CacheError:
    """The error for a cache of another format version."""
    return CacheError(
        f"{path} is of cache format {version}, but this program reads format {FORMAT_VERSION}; "
        "extract it again, or use the version of vpar-cache that wrote it"
    )


def check_seal(path: Path, progress: Callable[[int], object] | None = None) -> str:
    """Read the whole file and compare it with its seal; returns the digest.

    Raises CacheError when a byte differs. Runs at disk speed; HDF5 is not involved.
    """
    claimed = read_seal(path)
    try:
        found = hash_file(path, skip=USER_BLOCK_BYTES, progress=progress)
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror} while reading; check the disk, then verify again") from error
    if found != claimed:
        raise CacheError(
            f"{path} is damaged: its bytes do not match its seal; run `vpar extract` again with the same "
            "options, it redoes only what is broken"
        )
    return claimed
