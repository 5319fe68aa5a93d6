"""The work of one shard: encode what was decoded, gather the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache import format as fmt
from vpar_cache.cache.writer import ShardContents
from vpar_cache.datasets.draws import Source, digest_source
from vpar_cache.datasets.frames import apply_jitter
from vpar_cache.datasets.loading import LoadedPiece, LoadedTracklet
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.plan import ShardTask, digest_shard

if TYPE_CHECKING:  # it imports torch, which a run that computes nothing does not need
    from vpar_cache.backbones.encoder import Encoder
    from vpar_cache.extraction.encoder_memory import EncoderIdentity

Rows = dict[str, list[NDArray[np.float16]]]


def row_shapes(config: ExtractConfig, encoder: Encoder | EncoderIdentity) -> dict[str, tuple[int, ...]]:
    """The shape of one row of each big array that these settings store."""
    token_shape = (encoder.num_tokens, encoder.dim)  # (N, D)
    shapes: dict[str, tuple[int, ...]] = {fmt.VISUAL: token_shape}
    if config.frames is not None:  # else each tracklet has its own number, which no array can hold
        shapes[fmt.FRAME_EMBEDDINGS] = (config.frames, encoder.dim)
    if config.views:
        shapes[fmt.AUGMENTED] = (config.views, *token_shape)
    if config.frames is not None and config.keep_frames:
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
    frames = len(task.sources[0].draws[0].frames)  # T, the same for all
    per_batch = max(1, encoder.batch_frames(config.batch_size) // frames)  # tracklets
    rows: Rows = {name: [] for name in row_shapes(config, encoder)}
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
    return ShardContents(
        arrays=_joined(rows, config, encoder),
        tracklet_ids=ids,
        skipped=skipped,
        source_digest=digest_shard(digests),
        **header,
    )


def _joined(rows: Rows, config: ExtractConfig, encoder: Encoder) -> dict[str, NDArray[np.float16]]:
    return {
        name: np.concatenate(parts) if (parts := rows[name]) else np.empty((0, *shape), np.float16)
        for name, shape in row_shapes(config, encoder).items()
    }


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


def compute_whole_shard(
    task: ShardTask,
    loaded: Iterator[LoadedPiece],
    encoder: Encoder,
    config: ExtractConfig,
    header: Mapping[str, Any],
    done: Callable[[int], object],
) -> ShardContents:
    """As compute_shard, for `--frames all`: tracklets come in pieces, and only sums over their frames are held."""
    rows: Rows = {name: [] for name in row_shapes(config, encoder)}
    ids: list[str] = []
    skipped: list[tuple[str, str, str]] = []
    digests: list[str] = []
    for source in task.sources:
        tracklet = source.tracklet
        digest, means, reason = _whole_tracklet(source, loaded, encoder, encoder.batch_frames(config.batch_size))
        digests.append(digest)
        if reason:
            skipped.append((tracklet.tracklet_id, tracklet.split, reason))
        else:
            ids.append(tracklet.tracklet_id)
            rows[fmt.VISUAL].append(means[:1])  # (1, N, D)
            if len(means) > 1:
                rows[fmt.AUGMENTED].append(means[None, 1:])  # (1, K, N, D)
        done(1)
    return ShardContents(
        arrays=_joined(rows, config, encoder),
        tracklet_ids=ids,
        skipped=skipped,
        source_digest=digest_shard(digests),
        **header,
    )


def _whole_tracklet(
    source: Source, loaded: Iterator[LoadedPiece], encoder: Encoder, batch: int
) -> tuple[str, NDArray[np.float16], str]:
    """Digest, (1 + K, N, D) means over all frames of the plain draw and of each view, reason to leave it out."""
    totals: list[Any] = [0] * len(source.draws)  # each (N, width), on the device
    waiting: list[NDArray[np.uint8]] = []
    hashes: list[str] = []
    count, reason = 0, ""
    for item in loaded:
        hashes.extend(item.hashes)
        reason = reason or item.reason
        if item.frames is not None and not reason:
            waiting.append(item.frames)
            held = sum(map(len, waiting))
            if item.piece.last or held + len(item.piece.names) > batch:
                frames = np.concatenate(waiting)  # (F, S, S, 3)
                waiting.clear()
                count += held
                for number, draw in enumerate(source.draws):
                    jitter = draw.jitter
                    seen = frames if jitter is None else np.stack([apply_jitter(f, jitter) for f in frames])
                    totals[number] = totals[number] + encoder.sum_tokens(seen)
        if item.piece.last:
            break
    digest = digest_source(source, hashes)
    if reason:
        return digest, np.empty(0, np.float16), reason
    return digest, np.stack([encoder.mean_of(total, count) for total in totals]), ""
