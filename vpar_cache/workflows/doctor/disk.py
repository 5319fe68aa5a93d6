"""Where the cache goes: what stands there, what the disk has room for, whether its file system does its work."""

from __future__ import annotations

import fcntl
import math
import os
import re
import shutil
import tempfile
from pathlib import Path

from vpar_cache.base.callbacks import never
from vpar_cache.base.lock import find_writer
from vpar_cache.cache.format import follow_link
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import count_of
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.held_cache import (
    HeldCache,
    read_held_cache,
    refuse_foreign,
    refuse_known_differences,
    refuse_to_drop,
)
from vpar_cache.extraction.plan import ShardTask, estimate_bytes, plan_shards, row_shapes
from vpar_cache.extraction.space import check_space, format_bytes
from vpar_cache.workflows.doctor.check import Check
from vpar_cache.workflows.doctor.weights import EncoderFound

_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")
"""A space, tab, line end or backslash in the name of a mount."""
_NETWORK = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "lustre",
    "gpfs",
    "ceph",
    "beegfs",
    "sshfs",
    "s3fs",
    "rclone",
    "gcsfuse",
)
_IN_MEMORY = ("tmpfs", "ramfs")


def check_held(config: ExtractConfig, dataset: Dataset | None) -> tuple[Check, HeldCache]:
    """Return what stands at --out, in words and as an extraction reads it.

    Raises what an extraction raises: for somebody else's files, for other settings, for tracklets that would go.
    """
    out = follow_link(config.out)
    refuse_foreign(out)
    held = read_held_cache(out, lambda line: None, never)
    refuse_known_differences(held, config)
    if dataset is not None:
        kept = {tracklet.tracklet_id for tracklet in dataset.tracklets}
        refuse_to_drop(held, kept, config, "are not in this run's list of tracklets")
    if writer := find_writer(out):
        return Check("cache", "warning", f"{out} is being written by {writer}"), held
    count = len(held.tracklet_ids)
    if not count:
        return Check("cache", "ok", f"{out}: nothing there yet"), held
    return Check(
        "cache", "ok", f"{out} holds {count_of(count, 'tracklet')} of these settings, which are kept"
    ), held


def check_room(
    config: ExtractConfig, dataset: Dataset | None, held: HeldCache, encoder: EncoderFound | None
) -> Check:
    """Return what an extraction will write, and what is free; without dataset and encoder, what is free.

    Raises CacheError where it does not fit.
    """
    if dataset is None or encoder is None:
        folder = nearest_folder(config.out)
        disk = shutil.disk_usage(folder)
        free = f"{format_bytes(disk.free)} free" if disk.total else "the file system does not tell what is free"
        return Check("disk", "ok", f"{folder}: {free}")
    missing = [t for t in dataset.tracklets if t.tracklet_id not in held.tracklet_ids]
    if not missing:
        return Check("disk", "ok", f"{config.out}: nothing to write, all tracklets have their rows")
    shapes = row_shapes(config, encoder.num_tokens, encoder.dim)
    shards = plan_shards(missing, config, row_bytes=2 * sum(map(math.prod, shapes.values())))
    tasks = [ShardTask(number, sources, (None,) * len(sources)) for number, sources in enumerate(shards)]
    said: list[str] = []
    check_space(config.out, estimate_bytes(tasks, shapes), said.append)
    return Check("disk", "ok", "; ".join(said))


def nearest_folder(path: Path) -> Path:
    """Return the folder of a file; of one that is not there, the nearest that is."""
    folder = path.absolute().parent
    while not folder.is_dir():
        folder = folder.parent
    return folder


def check_file_system(out: Path) -> Check:
    """Write, sync, rename and lock a small file in the folder of `out`, and remove it again."""
    folder = nearest_folder(out)
    kind = file_system_of(folder)
    shown = f"{folder}{f' ({kind})' if kind else ''}"
    try:
        problems = _try_files(folder)
    except OSError as error:
        fix = "get the right to write there, or choose an --out in another folder"
        return Check("file system", "fails", f"{shown}: no file can be written ({error.strerror}): {fix}")
    if kind in _IN_MEMORY:
        problems.append("it is in memory: the cache is lost when the machine restarts")
    if problems:
        return Check("file system", "warning", f"{shown}: {'; '.join(problems)}")
    text = f"{shown}: writing, syncing, renaming and locking work"
    if kind.removeprefix("fuse.") in _NETWORK:
        text += "; it is a network file system: training reads random rows, which a local disk serves faster"
    return Check("file system", "ok", text)


def _try_files(folder: Path) -> list[str]:
    """Return what does not work in a folder as it should. Raises OSError where nothing can be written."""
    problems = []
    with tempfile.TemporaryDirectory(prefix=".vpar-doctor-", dir=folder) as trial:
        first, second = Path(trial) / "first", Path(trial) / "second"
        second.write_bytes(b"old")
        with first.open("wb") as file:
            file.write(b"new")
            file.flush()
            os.fsync(file.fileno())
        first.replace(second)
        if second.read_bytes() != b"new" or first.exists():
            problems.append("a rename does not replace a file, so a cache may be damaged: use another folder")
        return problems + _sync_problem(Path(trial)) + _lock_problem(second)


def _sync_problem(folder: Path) -> list[str]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        return [f"folders cannot be synced ({error.strerror}): after a power failure, run the same command again"]
    finally:
        os.close(descriptor)
    return []


def _lock_problem(path: Path) -> list[str]:
    """Return what is wrong with locks: one that is held must keep another one out."""
    with path.open("rb") as one, path.open("rb") as other:
        try:
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return [f"it has no locks ({error.strerror}): let only one process write a cache at a time"]
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return []
    return ["its locks keep nobody out: let only one process write a cache at a time"]


def file_system_of(folder: Path) -> str:
    """Return the type of the file system of a folder, as in ext4 or nfs4; empty where the system does not say."""
    try:
        lines = _MOUNTS.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    real = Path(os.path.realpath(folder))
    best, kind = -1, ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        if len(fields.split(" ")) < 5 or not rest:
            continue
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields.split(" ")[4])
        if real.is_relative_to(point) and len(point) >= best:  # the last mount of a point hides the others
            best, kind = len(point), rest.split()[0]
    return kind
