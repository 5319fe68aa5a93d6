"""Caches without an encoder, and ways to change a sealed file so that its seal fits again."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Group, Output, Schema
from vpar_cache.base.hashing import canonical_json, fingerprint
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import read_shard_header
from vpar_cache.cache.seal import read_seal, write_seal
from vpar_cache.cache.writer import IndexContents, ShardContents, write_index, write_shard

SCHEMA = Schema(
    "klein",
    (
        Group("hat", (Output("hat", "einen Hut"),), ("hat",), "no hat"),
        Group("pose", tuple(Output(f"pose {v}", v) for v in ("前", "side", "back")), ("pose",)),
    ),
    ("occlusion", "cut-out"),
)
TOKENS, DIM, FRAMES, VIEWS = 5, 8, 2, 3
VISUAL_CONFIG = {"frames": FRAMES, "backbone": "tiny", "grid": [2, 2], "prefix_tokens": 1, "note": "Größe"}
TEXT_DIM = 7
"""Dt, which need not be D."""
ENVIRONMENT = {"torch": "2.15", "processor": "a processor"}
SHARD_ROWS = ((3, 0), (2, 2), (0, 0), (0, 3))
"""(train, test) tracklets of each shard: train before test, and one shard of which nothing was readable."""


@dataclass(frozen=True)
class SmallCache:
    """What was written."""

    index: Path
    arrays: dict[str, NDArray[np.float16]]
    """All rows of each big array, by name."""
    contents: IndexContents

    def shard(self, number: int) -> Path:
        return fmt.shard_folder(self.index) / self.contents.shards[number].file


def shard_contents(
    number: int, rows: tuple[int, int], views: bool = True, frames: bool = True, made_of: str = ""
) -> ShardContents:
    """Random rows; the same for the same arguments. `made_of`: caches of another text have other digests."""
    random = np.random.default_rng(number)
    train, count = rows[0], sum(rows)
    shapes: dict[str, tuple[int, ...]] = {
        fmt.VISUAL: (count, TOKENS, DIM),
        fmt.FRAME_EMBEDDINGS: (count, FRAMES, DIM),
    }
    if views:
        shapes[fmt.AUGMENTED] = (train, VIEWS, TOKENS, DIM)
    if frames:
        shapes[fmt.FRAME_TOKENS] = (count, FRAMES, TOKENS, DIM)
    return ShardContents(
        arrays={name: random.standard_normal(shape).astype(np.float16) for name, shape in shapes.items()},
        tracklet_ids=[f"{number:04d}C1T{i:04d}" for i in range(count)],
        source_digests=[hashlib.sha256(f"{made_of} {number} {i}".encode()).hexdigest() for i in range(count)],
        skipped=[("0099C1T0001", "train", "x.jpg: 0 bytes, schön leer", "9" * 64)] if number == 2 else [],
        visual_config=VISUAL_CONFIG,
        visual_fingerprint=fingerprint(VISUAL_CONFIG),
        weights="random:0",
        environments=[canonical_json(ENVIRONMENT)],
    )


def write_small_cache(
    index: Path,
    rows: Sequence[tuple[int, int]] = SHARD_ROWS,
    views: bool = True,
    frames: bool = True,
    unknown: bool = False,
    made_of: str = "",
) -> SmallCache:
    """Shards and index with every array, of made-up values.

    `unknown`: the hat of row 0 and the poses of rows 1 and 2 are unknown, and the first test tracklet becomes one
    for validation.
    """
    shards = [shard_contents(number, counts, views, frames, made_of) for number, counts in enumerate(rows)]
    entries = [read_shard_header(write_shard(fmt.shard_folder(index), shard)) for shard in shards]
    splits = [split for train, test in rows for split in ["train"] * train + ["test"] * test]
    n, random = len(splits), np.random.default_rng(9)
    labels = np.zeros((n, SCHEMA.num_outputs), np.uint8)
    labels[:, 0] = random.integers(0, 2, n)
    labels[np.arange(n), 1 + random.integers(0, 3, n)] = 1
    known = np.ones(labels.shape, np.bool_)
    if unknown:
        splits[splits.index("test")] = "validation"
        known[0, 0] = known[1, 1:] = known[2, 1:] = False
        labels *= known
    text_config: dict[str, Any] = {
        "encoder": "tiny",
        "logit_scale": 100.0,
        "prompts": ["ein Hut", "前", "side", "back"],
        "negative_prompts": ["kein Hut", "", "", ""],
    }
    negative = np.zeros((SCHEMA.num_outputs, TEXT_DIM), np.float32)
    negative[0] = random.standard_normal(TEXT_DIM)
    contents = IndexContents(
        shards=entries,
        tracklet_ids=[tracklet_id for shard in shards for tracklet_id in shard.tracklet_ids],
        splits=splits,
        person_ids=list(range(-1, n - 1)),
        camera_ids=[1 + i % 6 for i in range(n)],
        num_frames=[2 + 100 * i for i in range(n)],
        people_known=True,
        labels=labels,
        known=known,
        quality=random.integers(0, 2, (n, 2), dtype=np.uint8),
        text_embeddings=random.standard_normal((SCHEMA.num_outputs, TEXT_DIM)).astype(np.float32),
        negative_embeddings=negative,
        prompts=text_config["prompts"],
        negative_prompts=text_config["negative_prompts"],
        schema=SCHEMA,
        dataset="klein",
        visual_config=VISUAL_CONFIG,
        visual_fingerprint=fingerprint(VISUAL_CONFIG),
        text_config=text_config,
        text_fingerprint=fingerprint(text_config),
        weights="random:0",
    )
    write_index(index, contents)
    names = shards[0].arrays
    arrays = {name: np.concatenate([shard.arrays[name] for shard in shards]) for name in names}
    return SmallCache(index, arrays, contents)


def flip(path: Path, position: int, bit: int = 0) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(position)
        value = file.read(1)[0]
        file.seek(position)
        file.write(bytes([value ^ 1 << bit]))


def edit_sealed(path: Path, edit: Callable[[h5py.File], object]) -> None:
    """Change a file through HDF5 and seal it again, as its author could."""
    with h5py.File(path, "r+") as file:
        edit(file)
    write_seal(path)


def edit_shard(cache: SmallCache, number: int, edit: Callable[[h5py.File], object]) -> None:
    """Change a shard and let the index list it as it now is: seal, size and places of the arrays."""
    path = cache.shard(number)
    edit_sealed(path, edit)
    offsets = {}
    with h5py.File(path, "r") as file:
        for name in cache.arrays:
            link = file.get(name, getlink=True)
            if isinstance(link, h5py.HardLink) and not file[name].chunks:
                offsets[name] = file[name].id.get_offset()

    def relist(file: h5py.File) -> None:
        shards, extents = file["shards"][()], file["extents"][()]
        shards["bytes"][number] = path.stat().st_size
        shards["blake3"][number] = read_seal(path)
        for row in extents[extents["file"] == path.name.encode()]:
            place = (extents["file"] == row["file"]) & (extents["dataset"] == row["dataset"])
            extents["offset"][place] = offsets.get(row["dataset"].decode()) or row["offset"]
        file["shards"][...], file["extents"][...] = shards, extents

    edit_sealed(cache.index, relist)


def put(name: str, **options: Any) -> Callable[[h5py.File], object]:
    """An edit that replaces a dataset."""

    def edit(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **options)

    return edit


def link(name: str, target: object) -> Callable[[h5py.File], object]:
    """An edit that puts a link where a dataset was."""

    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = target

    return edit


def run_alone(code: str, *arguments: object) -> str:
    """What a program prints in a process of its own, which is killed when it hangs: that fails the test."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
