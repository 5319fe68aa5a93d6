"""Whole processes under the clock: the program as its users start it, its memory, and a limit on its memory."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.timing import alternate, median_ratio, median_seconds

_VPAR = "import sys; from vpar_cli.main import run; sys.exit(run())"
"""What the installed script `vpar` does, with the interpreter that runs the benchmark."""
_V1, _V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


def vpar(*arguments: str | Path) -> list[str]:
    """Return the command line of `vpar` with these arguments."""
    return [sys.executable, "-c", _VPAR, *map(str, arguments)]


def run_quietly(command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a process that must succeed; return it with its stdout and stderr."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr[-2000:]}")
    return done


def compare_processes(ours: list[str], theirs: list[str], repeats: int) -> float:
    """Return seconds of ours / seconds of theirs, the median over pairs; print both."""
    pairs = alternate(lambda: run_quietly(ours), lambda: run_quietly(theirs), repeats=repeats)
    seconds, beside = median_seconds(pairs)
    spread = statistics.quantiles([ours / theirs for ours, theirs in pairs])
    print(f"ours {seconds:.3f} s, beside it {beside:.3f} s")
    print(f"half of the ratios lie in {spread[0]:.3f}..{spread[2]:.3f}")
    return 1 / median_ratio(pairs)


def peak_bytes(command: list[str]) -> int:
    """Run a process that must succeed; return its largest resident set, as the kernel counts it."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            said = output.read()[-2000:].decode()
            sys.exit(f"{' '.join(command)} ended with status {process.returncode}: {said}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def memory_limit(limit: int) -> Iterator[list[str]]:
    """Yield a prefix for a command line, so that the process gets `limit` bytes, pages of files included.

    `ulimit` does not count those. Three ways, the first that works here: a cgroup of version 1, one of version 2,
    or systemd-run.
    """
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
    """Write all files to the disk and drop the pages of this folder's files from memory."""
    subprocess.run(["sync"], check=True)
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
