"""The seal of a file: the blake3 of all bytes after the 512-byte user block, written in that block.

It is checked on raw bytes before HDF5 opens the file, so damage is never parsed. It detects accidents, not
attackers: anyone can seal a file.
"""

from __future__ import annotations

import re
from pathlib import Path

from vpar_cache.base.hashing import hash_file
from vpar_cache.cache.format import FORMAT_VERSION, USER_BLOCK_BYTES, other_version
from vpar_cache.errors import CacheError

_SEAL = re.compile(rb"vpar-seal (\d+) blake3:([0-9a-f]{64})\n\0*")


def seal_block(digest: str) -> bytes:
    """Return the user block of a file whose other bytes have this digest."""
    return f"vpar-seal {FORMAT_VERSION} blake3:{digest}\n".encode().ljust(USER_BLOCK_BYTES, b"\0")


def write_seal(path: Path) -> None:
    """Seal a closed HDF5 file that has a user block of 512 bytes."""
    digest = hash_file(path, skip=USER_BLOCK_BYTES)
    with path.open("r+b") as file:
        file.write(seal_block(digest))


def read_seal(path: Path) -> str:
    """Return the digest that a file claims, without checking it. Raises CacheError without a valid seal."""
    try:
        with path.open("rb") as file:
            block = file.read(USER_BLOCK_BYTES)
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror}; give a cache that `vpar extract` wrote") from error
    match = _SEAL.fullmatch(block)
    if match is None or len(block) != USER_BLOCK_BYTES:
        raise CacheError(
            f"{path} has no vpar seal in its first {USER_BLOCK_BYTES} bytes: damaged, or not a vpar cache. Run "
            "`vpar extract` again with the same options: it writes again only what is damaged"
        )
    if int(match[1]) != FORMAT_VERSION:
        raise other_version(path, int(match[1]))
    return match[2].decode()


def check_seal(path: Path) -> str:
    """Read the whole file, compare it with its seal and return the digest. Raises CacheError if a byte differs."""
    claimed = read_seal(path)
    try:
        found = hash_file(path, skip=USER_BLOCK_BYTES)
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror} while reading; check the disk, then verify again") from error
    if found != claimed:
        raise CacheError(
            f"{path} is damaged: its bytes do not match its seal. Run `vpar extract` again with the same options: "
            "it writes again only what is damaged"
        )
    return claimed
