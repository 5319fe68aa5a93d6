"""Limits of the system, for a moment."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_more_open_files() -> Iterator[None]:
    """Let every attempt to open a file fail (EMFILE) while the block runs."""
    free = os.open(os.devnull, os.O_RDONLY)  # the lowest free number
    os.close(free)
    with _limit(resource.RLIMIT_NOFILE, free):
        yield


@contextmanager
def file_size_limit(num_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond this: what a full disk does, without one."""
    with _limit(resource.RLIMIT_FSIZE, num_bytes):
        yield


@contextmanager
def _limit(what: int, value: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (value, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)
