"""Load the model of a folder that `vpar export` wrote."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from vpar_cache.base.files import read_failure, read_plain
from vpar_cache.errors import CacheError
from vpar_cache.runs.load import LoadedRun, load_run
from vpar_cache.runs.record import parse_record
from vpar_cache.sharing.config import CONFIG, FIX, MODEL, ExportedConfig, check_described, describe

_MAX_BYTES = 16_000_000
"""Of config.json."""


def load_exported(folder: Path) -> LoadedRun:
    """Return the model of an exported folder, which gives what its run gives.

    Raises CacheError for a missing or changed file, and where config.json and the model do not fit.
    """
    config = read_config(folder)
    path = folder / MODEL
    expected, found = config.sha256.get(MODEL), file_sha256(path)
    if found != expected:
        raise CacheError(
            f"{path}: got a file with SHA-256 {found}; expected {expected}, as {CONFIG} says: one of the two was "
            f"changed. To fix it, {FIX}"
        )
    run = load_run(folder, fix=FIX)
    check_described(folder / CONFIG, config, describe(run, path))
    return run


def read_config(folder: Path) -> ExportedConfig:
    """Return what config.json says. Raises CacheError for a missing or invalid one."""
    path = folder / CONFIG
    try:
        data = read_plain(_of_the_hub(path), _MAX_BYTES)
    except FileNotFoundError as error:
        raise CacheError(
            f"{path} is missing, and so is run.json: {folder} is neither a run folder nor one of `vpar export`; "
            "give another folder"
        ) from error
    except OSError as error:
        raise _failure(path, error) from error
    if len(data) > _MAX_BYTES:
        raise CacheError(f"{path}: got more than {_MAX_BYTES} bytes; expected a small file. To fix it, {FIX}")
    return parse_record(path, data, ExportedConfig, FIX)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file, as `sha256sum` and the model hub show it. Raises CacheError."""
    try:
        descriptor = os.open(_of_the_hub(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise CacheError(f"{path} is missing; {FIX}") from error
    except OSError as error:
        raise _failure(path, error) from error


def _of_the_hub(path: Path) -> Path:
    """Return where a file of a snapshot in the hub's cache lies: its links lead into the folder `blobs`.

    Any other path is returned as it is: links that lead elsewhere are refused when they are read.
    """
    if path.is_symlink():
        target = path.resolve()
        if target.parent == path.parent.resolve().parent.parent / "blobs":
            return target
    return path


def _failure(path: Path, error: OSError) -> CacheError:
    if error.errno == errno.ELOOP:
        return CacheError(f"{path} is a link, which is not followed; copy the file in its place")
    return read_failure(path, error)
