"""How much an extraction writes, and whether it fits on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from vpar_cache.base.callbacks import Say
from vpar_cache.errors import CacheError


def check_space(out: Path, num_bytes: int, say: Say) -> None:
    """Say how many bytes are to be written and how many are free. Raises CacheError where they do not fit."""
    folder = out.absolute().parent
    while not folder.is_dir():
        folder = folder.parent
    disk = shutil.disk_usage(folder)
    needed = format_bytes(num_bytes)
    if not disk.total:  # some network file systems do not tell
        say(f"{out}: about {needed} to write")
    elif num_bytes > disk.free:
        raise CacheError(
            f"--out: {out} needs about {needed} more, and {format_bytes(disk.free)} are free on its disk. Free "
            "some space, choose an --out on another disk, or lower --views, or --frames with --keep-frames"
        )
    else:
        say(f"{out}: about {needed} to write, {format_bytes(disk.free)} free")


def format_bytes(count: int) -> str:
    """Return a number of bytes in the largest unit that it reaches: 3.4 GB."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
