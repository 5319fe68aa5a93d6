"""The plan of an extraction: which shards, of which rows, from which files.

Nothing here depends on devices, workers or batch sizes, so any number of them may share the list of tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from vpar_cache.base.hashing import fingerprint
from vpar_cache.cache import format as fmt
from vpar_cache.datasets.decoding import preprocessing_identity
from vpar_cache.datasets.frame_choice import Source, draw_source
from vpar_cache.datasets.tracklet import Tracklet
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import EncoderIdentity

SHARD_BYTES = 52 << 20
"""About the size of a shard: 256 tracklets of 197 x 512 float16 tokens."""


@dataclass(frozen=True)
class ShardTask:
    """One shard: its number and its sources, in tracklet order."""

    number: int
    sources: tuple[Source, ...]

    @property
    def file(self) -> str:
        """The shard's file name."""
        return fmt.shard_name(self.number)


@dataclass(frozen=True)
class Plan:
    """All shards of a cache, and the settings that decide their features."""

    tasks: tuple[ShardTask, ...]
    visual_config: dict[str, Any]
    visual_fingerprint: str


def make_plan(tracklets: Sequence[Tracklet], config: ExtractConfig, identity: EncoderIdentity) -> Plan:
    """Return the shards to make of these tracklets with this encoder."""
    shapes = row_shapes(config, identity.num_tokens, identity.dim)
    visual_config = {**config.visual_settings(), **identity.visual, **preprocessing_identity()}
    tasks = plan_shards(tracklets, config, row_bytes=2 * sum(map(math.prod, shapes.values())))
    return Plan(tasks, visual_config, fingerprint(visual_config))


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


def plan_shards(tracklets: Sequence[Tracklet], config: ExtractConfig, row_bytes: int) -> tuple[ShardTask, ...]:
    """Cut the tracklets into shards, in order. `row_bytes`: what one tracklet takes in a shard."""
    size = config.shard_size or max(1, SHARD_BYTES // row_bytes)
    sources = [
        draw_source(tracklet, config.frames, config.sampling, config.views, config.seed) for tracklet in tracklets
    ]
    chunks = (sources[start : start + size] for start in range(0, len(sources), size))
    return tuple(ShardTask(number, tuple(chunk)) for number, chunk in enumerate(chunks))


def digest_shard(source_digests: Sequence[str]) -> str:
    """Return the shard's `source_digest` from those of its tracklets."""
    return blake3("".join(source_digests).encode()).hexdigest()


def file_signature(task: ShardTask) -> str:
    """Return blake3 over draws, sizes and times of a task's files: it changes with a touched or replaced file.

    Both times: archives and copies set a file's own time to what it was, the file system's cannot be set.
    """
    hasher = blake3()
    for source in task.sources:
        hasher.update(f"{source.identity()}\n".encode())
        for name in source.files():
            try:
                stat = (source.tracklet.folder / name).stat()
                hasher.update(f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode())
            except OSError as error:
                hasher.update(f"{name} {error.errno}\n".encode())
    return hasher.hexdigest()
