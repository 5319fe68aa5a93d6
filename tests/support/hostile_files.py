"""What the tests of hostile inputs share: the program in this process, a watch over what it opens, odd images."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import select
import signal
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.font_manager  # noqa: F401 - importing these two runs programs and reads the user's cache,
import numpy as np
import torch  # noqa: F401 - which the watch must not see
from PIL import Image

from vpar_cli.main import run

MOST_SECONDS = 20.0
"""Of one command. On a quiet machine the slowest takes two."""
MOST_BYTES = 400 << 20
"""Of memory that one command takes beyond what the process had."""

NASTY = "\x1b[31m\x1b]0;own\x07[red]=1+1|x\u202e\n"
"""A name that would colour, rename, mark up, compute or reorder where it is shown as it is."""

_PROJECT = Path(__file__).resolve().parents[2]
_OURS = [str(_PROJECT), sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev/null", "/dev/urandom", "/dev/shm"]
_REFUSED_EVENTS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "socket.connect",
    "pickle.find_class",
)


@dataclass(frozen=True)
class Done:
    """What the program returned and printed."""

    returncode: int
    stdout: str
    stderr: str


def call_vpar(*arguments: str, folder: Path) -> Done:
    """The program's entry point, in this process, with pipes for a terminal."""
    out, err = io.StringIO(), io.StringIO()
    before, argv = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}, sys.argv
    sys.argv = ["vpar", *arguments]
    code: object = 0
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            run()
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv = argv
        for number, handler in before.items():
            signal.signal(number, handler)
    assert code is None or isinstance(code, int)
    return Done(code or 0, out.getvalue(), err.getvalue())


class Program:
    """Unpickling it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.mkdir, (str(self.target),)


def assert_refused(done: Done, name: str) -> None:
    """The last line is an error that names the file, within what a line can hold; what came before are notes."""
    assert done.returncode == 2, done
    lines = done.stderr.split("\n")
    assert all(line.isprintable() and len(line) < 2000 for line in lines)
    assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 2) + [True, False]
    assert name in lines[-2], lines[-2]
    assert "memory does not suffice" not in lines[-2]


@dataclass
class _Watch:
    allowed: list[str]
    refused: list[str] = field(default_factory=list)


_watches: list[_Watch] = []
_hooked = False


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    for watch in _watches:
        if event in _REFUSED_EVENTS:
            watch.refused.append(f"{event} {arguments!r:.200}")
        elif event == "open" and isinstance(arguments[0], str | bytes):
            # What was asked for; where a link leads to, inotify sees.
            path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100
            if not any(path == root or path.startswith(f"{root}/") for root in watch.allowed):
                watch.refused.append(path)


@contextlib.contextmanager
def bounded(*folders: Path, outside: Path | None = None) -> Iterator[None]:
    """Assert that the block opens files below these folders alone, runs nothing, and keeps to time and memory.

    Python reports what it opens. What a C library opens is seen by inotify where it lies: in `outside`, the
    folder that the hostile file points to.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True
    watch = _Watch([*_OURS, *map(str, folders)])
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    memory, started = _memory("VmRSS"), time.monotonic()
    with _touched(outside) as touched:
        _watches.append(watch)
        try:
            yield
        finally:
            _watches.remove(watch)
        assert not touched(), f"files in {outside} were opened"
    assert not watch.refused, f"opened or run: {watch.refused}"
    assert time.monotonic() - started < MOST_SECONDS
    assert _memory("VmHWM") - memory < MOST_BYTES


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@contextlib.contextmanager
def _touched(outside: Path | None) -> Iterator[object]:
    """A function that says whether a file in the folder has been opened since."""
    if outside is None:
        yield lambda: False
        return
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    opened = 0x20
    assert libc.inotify_add_watch(descriptor, os.fsencode(outside), opened) >= 0
    try:
        yield lambda: bool(select.select([descriptor], [], [], 0)[0])
    finally:
        os.close(descriptor)


def picture(form: str = "JPEG", size: tuple[int, int] = (24, 48), mode: str = "RGB", **options: object) -> bytes:
    """A noisy image."""
    random = np.random.default_rng(0)
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = random.integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels[..., 0] if bands == 1 else pixels, mode).save(data, form, **options)  # type: ignore[arg-type]
    return data.getvalue()


def png(width: int, height: int, bits: int = 8, color: int = 2, rows: int = 0) -> bytes:
    """A PNG of zeros; with fewer rows than it promises it is cut short."""
    channels = {0: 1, 2: 3}[color]
    packer, body = zlib.compressobj(9), b""
    for _ in range(rows):
        body += packer.compress(bytes(1 + width * channels * bits // 8))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)),
        (b"IDAT", body + packer.flush()),
        (b"IEND", b""),
    ]
    written = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)
