"""The work of one shard: encode what was decoded, gather the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache import cache_format as fmt
from vpar_cache.config import ExtractConfig
from vpar_cache.encoder import Encoder
from vpar_cache.loading import LoadedTracklet
from vpar_cache.shard_plan import ShardTask, digest_shard
from vpar_cache.shards import ShardContents

Rows = dict[str, list[NDArray[np.float16]]]


def row_shapes(config: ExtractConfig, encoder: Encoder) -> dict[str, tuple[int, ...]]:
    """The shape of one row of each big array that these settings store."""
    token_shape = (encoder.num_tokens, encoder.dim)  # (N, D)
    shapes: dict[str, tuple[int, ...]] = {
        fmt.VISUAL: token_shape,
        fmt.FRAME_EMBEDDINGS: (config.frames, encoder.dim),
    }
    if config.views:
        shapes[fmt.AUGMENTED] = (config.views, *token_shape)
    if config.keep_frames:
        shapes[fmt.FRAME_TOKENS] = (config.frames, *token_shape)
    return shapes


def compute_shard(
    task: ShardTask,
    loaded: Iterator[LoadedTracklet],
    encoder: Encoder,
    config: ExtractConfig,
    header: Mapping[str, Any],
    done: Callable[[int], object],
) -> ShardContents:
    """Take this task's tracklets from `loaded`, encode them in batches, gather the shard.

    A batch never crosses a shard, so that a shard's bytes do not depend on its neighbours. `header` holds
    the fields of ShardContents that are the same for all shards; `done` gets the tracklets of each batch.
    """
    per_batch = max(1, encoder.batch_frames(config.batch_size) // config.frames)  # tracklets
    shapes = row_shapes(config, encoder)
    rows: Rows = {name: [] for name in shapes}
    ids: list[str] = []
    skipped: list[tuple[str, str, str]] = []
    digests: list[str] = []
    mine = islice(loaded, len(task.sources))
    while batch := list(islice(mine, per_batch)):
        digests.extend(item.digest for item in batch)
        for item in batch:
            tracklet = item.source.tracklet
            if item.draws is None:
                skipped.append((tracklet.tracklet_id, tracklet.split, item.reason))
            else:
                ids.append(tracklet.tracklet_id)
        _encode_batch([item.draws for item in batch if item.draws is not None], encoder, config, rows)
        done(len(batch))
    arrays = {
        name: np.concatenate(parts) if (parts := rows[name]) else np.empty((0, *shape), np.float16)
        for name, shape in shapes.items()
    }
    return ShardContents(
        arrays=arrays, tracklet_ids=ids, skipped=skipped, source_digest=digest_shard(digests), **header
    )


def _encode_batch(draws: list[NDArray[np.uint8]], encoder: Encoder, config: ExtractConfig, rows: Rows) -> None:
    """Encode the plain draws of B tracklets, then each view of those that have views."""
    if not draws:
        return
    plain = encoder.encode_frames(np.stack([draw[0] for draw in draws]), config.keep_frames)
    rows[fmt.VISUAL].append(plain.tokens)  # (B, N, D)
    rows[fmt.FRAME_EMBEDDINGS].append(plain.frame_embeddings)  # (B, T, D)
    if plain.frame_tokens is not None:
        rows[fmt.FRAME_TOKENS].append(plain.frame_tokens)  # (B, T, N, D)
    viewed = [draw for draw in draws if len(draw) > 1]  # train tracklets alone have views
    if viewed:
        views = [
            encoder.encode_frames(np.stack([draw[view] for draw in viewed])).tokens
            for view in range(1, config.views + 1)
        ]
        rows[fmt.AUGMENTED].append(np.stack(views, axis=1))  # (B_train, K, N, D)
