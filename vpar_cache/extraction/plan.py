"""The plan of an extraction: which shards, of which rows, from which files.

Nothing here depends on devices, workers or batch sizes, so any number of them may share the list of tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from vpar_cache.base.hashing import fingerprint
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import ShardHeader, Skipped
from vpar_cache.datasets.decoding import preprocessing_identity
from vpar_cache.datasets.frame_choice import Source, draw_source
from vpar_cache.datasets.tracklet import Tracklet
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import EncoderIdentity


@dataclass(frozen=True)
class StoredRow:
    """Where the features of a tracklet lie already."""

    shard: ShardHeader
    row: int


@dataclass(frozen=True)
class ShardTask:
    """One shard to make: plain data, for any process. Its result is a published shard and a ShardReceipt."""

    number: int
    sources: tuple[Source, ...]
    """In tracklet order."""
    stored: tuple[StoredRow | Skipped | None, ...]
    """For each source the row to copy, or why it was left out before. None: it has to be encoded."""

    @property
    def to_encode(self) -> tuple[Source, ...]:
        """The sources that have to be read and encoded."""
        return tuple(source for source, row in zip(self.sources, self.stored, strict=True) if row is None)


@dataclass(frozen=True)
class ShardReceipt:
    """What became of a task."""

    number: int
    header: ShardHeader
    signatures: dict[str, str]
    """Of the files of each tracklet that was read, by id: taken before they were read."""


@dataclass(frozen=True)
class Plan:
    """The tracklets of each shard of a cache, and the settings that decide their features."""

    shards: tuple[tuple[Source, ...], ...]
    visual_config: dict[str, Any]
    visual_fingerprint: str
    shapes: dict[str, tuple[int, ...]]
    """Of a row of each big array, by name."""


def make_plan(tracklets: Sequence[Tracklet], config: ExtractConfig, identity: EncoderIdentity) -> Plan:
    """Return the shards to make of these tracklets with this encoder."""
    shapes = row_shapes(config, identity.num_tokens, identity.dim)
    visual_config = {**config.visual_settings(), **identity.visual, **preprocessing_identity()}
    shards = plan_shards(tracklets, config, row_bytes=2 * sum(map(math.prod, shapes.values())))
    return Plan(shards, visual_config, fingerprint(visual_config), shapes)


def row_shapes(config: ExtractConfig, num_tokens: int, dim: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of one row of each big array that these settings store, from N and D."""
    token_shape = (num_tokens, dim)  # (N, D)
    shapes: dict[str, tuple[int, ...]] = {fmt.VISUAL: token_shape}
    if config.frames is not None:  # else each tracklet has its own number, which no array can hold
        shapes[fmt.FRAME_EMBEDDINGS] = (config.frames, dim)
    if config.views:
        shapes[fmt.AUGMENTED] = (config.views, *token_shape)
    if config.frames is not None and config.keep_frames:
        shapes[fmt.FRAME_TOKENS] = (config.frames, *token_shape)
    return shapes


def plan_shards(
    tracklets: Sequence[Tracklet], config: ExtractConfig, row_bytes: int
) -> tuple[tuple[Source, ...], ...]:
    """Cut the tracklets into shards, in order. `row_bytes`: what one tracklet takes in a shard."""
    size = config.shard_size or max(1, fmt.SHARD_BYTES // row_bytes)
    sources = [
        draw_source(tracklet, config.frames, config.sampling, config.views, config.seed) for tracklet in tracklets
    ]
    return tuple(tuple(sources[start : start + size]) for start in range(0, len(sources), size))


def estimate_bytes(tasks: Sequence[ShardTask], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return about how many bytes the shards of these tasks take, labels and headers included."""
    row = 2 * sum(math.prod(shape) for name, shape in shapes.items() if name != fmt.AUGMENTED)
    views = 2 * math.prod(shapes.get(fmt.AUGMENTED, (0,)))
    rows = sum(row + _ROW_OVERHEAD + views * (len(source.draws) > 1) for task in tasks for source in task.sources)
    return rows + _SHARD_OVERHEAD * len(tasks) + _INDEX_OVERHEAD


_ROW_OVERHEAD, _SHARD_OVERHEAD, _INDEX_OVERHEAD = 300, 8_000, 50_000
"""Bytes of ids, digests and labels of a row, in its shard and in the index; of settings and headers of a file."""


def file_signature(source: Source) -> str:
    """Return blake3 over draws, sizes and times of a tracklet's files: it changes with a touched or replaced file.

    Both times: archives and copies set a file's own time to what it was, the file system's cannot be set.
    """
    hasher = blake3(f"{source.identity()}\n".encode())
    for name in source.files():
        try:
            stat = (source.tracklet.folder / name).stat()
            hasher.update(f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode())
        except OSError as error:
            hasher.update(f"{name} {error.errno}\n".encode())
    return hasher.hexdigest()
