"""Starting a process under a limit on the memory it may hold, pages of files included (`ulimit` leaves those out).

Three ways, the first that this machine offers: a cgroup of version 1, one of version 2, or systemd-run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_V1, _V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@contextmanager
def memory_limit(limit: int) -> Iterator[list[str]]:
    """What to put in front of a command line, so that the process gets `limit` bytes."""
    if os.access(_V1, os.W_OK):
        with _group(_V1, {"memory.limit_in_bytes": limit}) as group:
            yield _joining(group)
    elif (_V2 / "cgroup.controllers").exists() and os.access(_V2, os.W_OK):
        with _group(_V2, {"memory.max": limit, "memory.swap.max": 0}) as group:
            yield _joining(group)
    elif shutil.which("systemd-run"):
        yield ["systemd-run", "--user", "--scope", "--quiet", f"--property=MemoryMax={limit}"]
    else:
        sys.exit("no way to limit memory here: neither a writable cgroup nor systemd-run")


@contextmanager
def _group(parent: Path, limits: dict[str, int]) -> Iterator[Path]:
    group = parent / f"vpar-benchmark-{os.getpid()}"
    group.mkdir()
    try:
        for name, value in limits.items():
            (group / name).write_text(str(value))
        yield group
    finally:
        group.rmdir()


def _joining(group: Path) -> list[str]:
    return ["sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh"]


def forget_pages(folder: Path) -> None:
    """Drop what the system holds of the files in memory: a page counts for whoever read it first."""
    subprocess.run(["sync"], check=True)
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
