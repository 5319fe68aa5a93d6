"""Who may write what: locks that end with the process that holds them, even when that is killed."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from vpar_cache.base.callbacks import Say, Stop, check_stop, log
from vpar_cache.base.files import plain_failures
from vpar_cache.errors import BeingWrittenError, printable

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


_PROBE_SECONDS = 0.5
"""A lock of fellows may be held for a moment by one who only looks, see `find_writer` and `Fellow.alone`."""


class Fellow:
    """A process that writes something, perhaps with others."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor, self._path = descriptor, path

    @contextmanager
    def alone(self, *, at_the_end: bool = False) -> Iterator[bool]:
        """Yield whether no other process writes; if so, none can begin until the block ends.

        False too where the file system has no locks, since nobody can tell. `at_the_end`: nothing more is written
        after the block.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
        if not at_the_end:  # the kernel gives a lock up before it gives the other kind
            _take(self._descriptor, self._path, log, fcntl.LOCK_SH)


@contextmanager
def sole_writer(path: Path, say: Say = log) -> Iterator[None]:
    """Make sure that no other process writes `path` while the block runs.

    Raises BeingWrittenError, which names the other process, where one does. A `flock` on `.NAME.lock` beside
    `path`: the file of a dead process does not block. Over NFS it works between hosts; where a file system has no
    locks, `say` gets a warning and the block runs.
    """
    with _locked(path, say, fcntl.LOCK_EX):
        yield


@contextmanager
def fellow_writer(path: Path, say: Say = log) -> Iterator[Fellow]:
    """As `sole_writer`, but other processes that call this function may write `path` at the same time."""
    with _locked(path, say, fcntl.LOCK_SH) as descriptor:
        yield Fellow(descriptor, path)


@contextmanager
def _locked(path: Path, say: Say, kind: int) -> Iterator[int]:
    """Hold a lock of this kind, with the name of this process in its file; yield the file's descriptor."""
    lock = _lock_of(path)
    with plain_failures(lock):
        descriptor = _acquire(lock, path, say, kind)
    try:
        with plain_failures(lock):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{_myself()}\n".encode(), 0)
        yield descriptor
    finally:
        if not _others_hold(descriptor) and _is_at(descriptor, lock):
            lock.unlink(missing_ok=True)  # before it is free: see _acquire
        os.close(descriptor)


@contextmanager
def patient_writer(path: Path, say: Say, stop: Stop) -> Iterator[None]:
    """As `sole_writer`, but wait while another process writes: for what takes seconds."""
    with ExitStack() as lock:
        while True:
            try:
                lock.enter_context(sole_writer(path, say))
                break
            except BeingWrittenError:
                check_stop(stop)
                time.sleep(0.1)
        yield


def find_writer(path: Path) -> str | None:
    """Return which process writes `path` now, as `process 17 on host a since ...`; None where none is known to."""
    try:
        descriptor = os.open(_lock_of(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def _acquire(lock: Path, path: Path, say: Say, kind: int) -> int:
    """Return the descriptor that holds the lock."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            _take(descriptor, path, say, kind)
            if _is_at(descriptor, lock):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the last holder removed it just after we opened it: take the new one


def _take(descriptor: int, path: Path, say: Say, kind: int) -> None:
    lock = _lock_of(path)
    until = time.monotonic() + (_PROBE_SECONDS if kind == fcntl.LOCK_SH else 0)
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(_PROBE_SECONDS / 20)
                continue
            raise BeingWrittenError(
                f"{path} is being written by {_holder(descriptor)}; wait until it ends or stop it, then run the "
                "same command again: finished work is kept. A crash frees the lock by itself; delete "
                f"{lock} only if that host is down for good"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            say(f"{lock.parent}: this file system has no locks; make sure that no other process writes {path}")
        return


def _others_hold(descriptor: int) -> bool:
    """Return whether other processes hold this lock too; if not, it is held by this one alone from now on."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks here
        return False
    return False


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
