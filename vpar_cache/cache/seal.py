"""The seal of a file: the blake3 of all bytes after the 512-byte user block, written in that block.

It is checked on raw bytes before HDF5 opens the file, so damage is never parsed. It detects accidents, not
attackers: anyone can seal a file.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from vpar_cache.base.files import read_failure
from vpar_cache.base.hashing import hash_file
from vpar_cache.cache.format import FORMAT_VERSION, USER_BLOCK_BYTES, other_version
from vpar_cache.errors import DamagedError

_MARK = b"vpar-seal "
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
    """Return the digest that a file claims, without checking it. Raises DamagedError without a valid seal."""
    try:
        with path.open("rb") as file:
            block = file.read(USER_BLOCK_BYTES)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise DamagedError(f"{path}: {error.strerror}; give a cache that `vpar extract` wrote") from error
    except OSError as error:
        raise read_failure(path, error) from error
    match = _SEAL.fullmatch(block)
    if match is None or len(block) != USER_BLOCK_BYTES:
        raise DamagedError(
            f"{path} has no vpar seal in its first {USER_BLOCK_BYTES} bytes: it is not a vpar cache, or damaged. "
            "Give the index that `vpar extract` wrote, as in cache/mars.h5"
        )
    if int(match[1]) != FORMAT_VERSION:
        raise other_version(path, int(match[1]))
    return match[2].decode()


def bears_seal(path: Path) -> bool:
    """Return whether a regular file is one of ours, damaged or not: its first bytes say so, or it is empty."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return stat.S_ISREG(os.fstat(descriptor).st_mode) and os.read(descriptor, len(_MARK)) in (_MARK, b"")
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            return False
        raise read_failure(path, error) from error


def check_seal(path: Path) -> str:
    """Read the whole file and return the digest of its seal. Raises DamagedError if a byte differs."""
    claimed = read_seal(path)
    try:
        found = hash_file(path, skip=USER_BLOCK_BYTES)
    except OSError as error:
        raise read_failure(path, error) from error
    if found != claimed:
        raise DamagedError(
            f"{path} is damaged: its bytes do not match its seal. Run `vpar extract` again with the same options: "
            "it writes again only what is damaged"
        )
    return claimed
