"""Atomic writes, and reads within limits."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vpar_cache.errors import CacheError, DataError, VparError

PARTIAL_SUFFIX = ".partial"
"""Of a file that is being written. One that no process writes any more is a leftover and may be removed."""
_PARTIAL_NAME = re.compile(rf"\.(.+)\.\d+-[0-9a-f]{{8}}\{PARTIAL_SUFFIX}")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; the file is published as `path` only when the block succeeds.

    Order: write, fsync, rename, fsync the folder. A crash leaves the old file or the new one, never a
    mixture; at worst a leftover, see `remove_leftovers`. A failed write, in the block too, is a CacheError.
    """
    partial = partial_path(path)
    with plain_failures(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            fsync_file(partial)
            partial.replace(path)
            fsync_folder(path.parent)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path, check: Callable[[], None]) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`, renamed to it when the block succeeds and removed otherwise.

    Leftovers of killed processes are removed as well. `check` is called before the renaming, since another host
    may have published meanwhile: it raises where what is there may not be replaced. What is replaced is moved
    aside first, so that a failure restores it.
    """
    partial = partial_path(folder)
    with plain_failures(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        partial.mkdir()
        try:
            yield partial
            for path in partial.iterdir():
                fsync_file(path)
            fsync_folder(partial)
            check()
            _publish_folder(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _publish_folder(partial: Path, folder: Path) -> None:
    """Rename `partial` to `folder`, and remove the folder that is there."""
    if not folder.exists():
        partial.replace(folder)
        fsync_folder(folder.parent)
        return
    old = partial_path(folder)
    folder.replace(old)
    try:
        partial.replace(folder)
    except OSError:
        old.replace(folder)
        raise
    fsync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)  # what NFS still holds, the next call removes


def partial_path(path: Path) -> Path:
    """Return a new temporary name beside `path`, which `remove_leftovers` knows."""
    # With a random part: processes of two hosts or containers may have the same number.
    return path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}{PARTIAL_SUFFIX}")


def remove_leftovers(path: Path) -> None:
    """Remove partial files and folders that killed processes left. No other process may be writing `path`."""
    remove_leftovers_in(path.parent, re.compile(re.escape(path.name)))


def remove_leftovers_in(folder: Path, names: re.Pattern[str]) -> None:
    """Remove what `remove_leftovers` removes, for every name in a folder that matches."""
    if folder.is_dir():
        for found in folder.iterdir():
            partial = _PARTIAL_NAME.fullmatch(found.name)
            if partial is not None and names.fullmatch(partial[1]):
                if found.is_dir() and not found.is_symlink():
                    shutil.rmtree(found, ignore_errors=True)  # NFS keeps files that somebody has open
                else:
                    found.unlink(missing_ok=True)


@contextmanager
def plain_failures(path: Path) -> Iterator[None]:
    """Turn errors of the operating system in the block into a CacheError: file, reason, how to fix it.

    Also where a library wraps them: safetensors has the error's number in its text. The file is the one that the
    error names, else `path`.
    """
    try:
        yield
    except VparError:
        raise
    except Exception as error:
        number = _error_number(error)
        if number is None and not isinstance(error, OSError):
            raise
        named = getattr(error, "filename", None)
        where = path if not isinstance(named, str) or named.endswith(PARTIAL_SUFFIX) else named
        reason = str(error) if number is None else f"{os.strerror(number)} (error {number})"
        fix = _FIXES.get(number or 0, "see with --debug where it happened")
        raise CacheError(
            f"{where}: {reason}; {fix}, then run the same command again: finished work is kept"
        ) from error


def _error_number(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    number = re.search(r"\(os error (\d+)\)", str(error))
    return None if number is None else int(number[1])


SYSTEM_FIXES = {
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs, or raise the system's limit on open files",
    errno.ENOMEM: "close other programs, or use a machine with more memory",
    errno.EIO: "check the disk or the network mount",
    errno.ESTALE: "check the network mount",
}
"""What the user can do about an error of the system, whatever was done with the file."""
_FIXES = {
    **SYSTEM_FIXES,
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or raise your quota",
    errno.EACCES: "make the folder writable, or write to another one",
    errno.EPERM: "make the folder writable, or write to another one",
    errno.EROFS: "make the folder writable, or write to another one",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "make that folder, or write to another one",
    errno.ENOTDIR: "write to another folder",
    errno.EEXIST: "write to another folder",
    errno.EISDIR: "move that folder away",
}


def read_failure(path: Path, error: OSError) -> CacheError:
    """Return the error for a file that is there and cannot be read now: it may be intact."""
    fix = _READ_FIXES.get(error.errno or 0, "check the disk or the network mount")
    reason = f"{os.strerror(error.errno)} (error {error.errno})" if error.errno else str(error)
    return CacheError(
        f"{path}: it cannot be read: {reason}. The file may be intact: {fix}, then run the same command again"
    )


_READ_FIXES = {
    **SYSTEM_FIXES,
    errno.EACCES: "get the right to read it",
    errno.EPERM: "get the right to read it",
    errno.EAGAIN: "close the program that has locked it",
    errno.ELOOP: "copy the file in place of the link",
}


def is_folder(path: Path) -> bool:
    """Return whether a folder is there; False, too, for a name that none can have or that may not be looked at."""
    try:
        return path.is_dir()
    except OSError:
        return False


def check_readable(path: Path) -> None:
    """Raise FileNotFoundError for a missing file, CacheError for one that is there and cannot be opened.

    For libraries such as safetensors, which call every file that they cannot open a missing one.
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise read_failure(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Publish a text file atomically, as UTF-8."""
    with atomic_path(path) as partial:
        partial.write_text(text, "utf-8")


def fsync_file(path: Path) -> None:
    """Make the bytes of a closed file durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def fsync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable, where the file system supports it.

    The rename has succeeded. A file system that cannot sync folders, as some network mounts, says so with any
    error: only a full disk or quota is one.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise


def read_plain(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file, cut one byte beyond `limit`.

    OSError for a link, which may lead anywhere, and for a pipe or a device, which may never end. For files in
    untrusted folders.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read(limit + 1)


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the contents of a file. Raises DataError where it cannot be read or is larger than `max_bytes`."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    if len(data) > max_bytes:
        raise DataError(f"{path} is over {max_bytes} bytes, too large for such a file. Check the path")
    return data
