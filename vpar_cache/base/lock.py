"""One writer at a time: a lock that ends with the process that holds it, even when that is killed."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from vpar_cache.base.callbacks import Say, log
from vpar_cache.base.files import plain_failures
from vpar_cache.errors import CacheError, printable

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def sole_writer(path: Path, say: Say = log) -> Iterator[None]:
    """Make sure that no other process writes `path` while the block runs.

    Raises CacheError, which names the other process, where one does. A `flock` on `.NAME.lock` beside `path`:
    the file of a dead process does not block. Over NFS it works between hosts; where a file system has no locks,
    `say` gets a warning and the block runs.
    """
    lock = _lock_of(path)
    with plain_failures(lock):
        descriptor = _acquire(lock, path, say)
    try:
        with plain_failures(lock):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{_myself()}\n".encode())
        yield
    finally:
        if _is_at(descriptor, lock):
            lock.unlink(missing_ok=True)  # before it is free: see _acquire
        os.close(descriptor)


def find_writer(path: Path) -> str | None:
    """Return which process writes `path` now, as `process 17 on host a since ...`; None where none is known to."""
    try:
        descriptor = os.open(_lock_of(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor)
    except OSError:  # no locks here: nobody can tell
        return None
    else:
        return None
    finally:
        os.close(descriptor)


def _lock_of(path: Path) -> Path:
    return path.absolute().parent / f".{path.absolute().name}.lock"


def _acquire(lock: Path, path: Path, say: Say) -> int:
    """Return the descriptor that holds the lock."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            _take(descriptor, lock, path, say)
            if _is_at(descriptor, lock):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the last holder removed it just after we opened it: take the new one


def _take(descriptor: int, lock: Path, path: Path, say: Say) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CacheError(
            f"{path} is being written by {_holder(descriptor)}; wait until it ends or stop it, then run the same "
            "command again: finished work is kept. A crash frees the lock by itself; delete "
            f"{lock} only if that host is down for good"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        say(f"{lock.parent}: this file system has no locks; make sure that no other process writes {path}")


def _is_at(descriptor: int, lock: Path) -> bool:
    """Return whether the open file still has the lock's name."""
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        return False


def _myself() -> str:
    now = datetime.now().astimezone().isoformat(" ", "seconds")
    return f"process {os.getpid()} on host {socket.gethostname()} since {now}"


def _holder(descriptor: int) -> str:
    """Return what the holder wrote, as one line; it may not have written yet."""
    text = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
    return printable(text) or "another process"
