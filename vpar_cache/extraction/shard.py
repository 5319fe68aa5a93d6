"""The work of one shard: encode decoded frames, gather the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache import format as fmt
from vpar_cache.cache.writer import ShardContents
from vpar_cache.datasets.decoding import apply_jitter
from vpar_cache.datasets.frame_choice import Draw, Source, digest_source
from vpar_cache.datasets.loading import LoadedPiece
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.plan import ShardTask, digest_shard, row_shapes

if TYPE_CHECKING:  # it imports torch, which a run that computes nothing does not need
    from vpar_cache.backbones.encoder import Encoder

Rows = dict[str, list[NDArray[np.float16]]]


@dataclass
class _Gathered:
    """A tracklet whose rows are not made yet."""

    source: Source
    hashes: list[str] = field(default_factory=list)
    reason: str = ""
    """Why it is left out."""
    frames: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    """(S, S, 3) each, by file name: decoded and not yet encoded."""
    sums: list[Any] = field(default_factory=list)
    """With --frames all: for each draw the sum of its tokens, (N, width) on the device."""
    count: int = 0
    """How many frames are in each sum."""

    def drawn(self, draw: Draw) -> NDArray[np.uint8]:
        """Return the decoded frames of a draw, (F, S, S, 3)."""
        frames = (self.frames[name] for name in draw.frames if name in self.frames)
        jitter = draw.jitter
        return np.stack([frame if jitter is None else apply_jitter(frame, jitter) for frame in frames])

    def add_to_sums(self, encoder: Encoder) -> None:
        """Encode the decoded frames, add them to the sums, and drop them."""
        sums = [encoder.sum_tokens(self.drawn(draw)) for draw in self.source.draws]
        self.sums = [a + b for a, b in zip(self.sums, sums, strict=True)] if self.sums else sums
        self.count += len(self.frames)
        self.frames = {}


def compute_shard(
    task: ShardTask,
    loaded: Iterator[LoadedPiece],
    encoder: Encoder,
    config: ExtractConfig,
    header: Mapping[str, Any],
    done: Callable[[int], object],
) -> ShardContents:
    """Take this task's pieces from `loaded`, encode them in batches, return the shard.

    Tracklets of T frames each are encoded together. With --frames all a tracklet is encoded alone, and only sums
    over its frames are held. A batch never crosses a shard, so that a shard's bytes do not depend on its
    neighbours. `header`: the fields of ShardContents that are the same for all shards; `done` is called with 1 for
    each tracklet.
    """
    limit = encoder.batch_frames(config.batch_size)
    per_batch = 1 if config.frames is None else max(1, limit // config.frames)  # tracklets
    shapes = row_shapes(config, encoder.num_tokens, encoder.dim)
    rows: Rows = {name: [] for name in shapes}
    ids: list[str] = []
    skipped: list[tuple[str, str, str]] = []
    digests: list[str] = []
    batch: list[_Gathered] = []
    for source in task.sources:
        tracklet = _gather(source, loaded, encoder, limit if config.frames is None else None)
        digests.append(digest_source(source, tracklet.hashes))
        if tracklet.reason:
            skipped.append((source.tracklet.tracklet_id, source.tracklet.split, tracklet.reason))
        else:
            ids.append(source.tracklet.tracklet_id)
            batch.append(tracklet)
        if len(batch) == per_batch:
            _encode(batch, encoder, config, rows)
            batch.clear()
        done(1)
    _encode(batch, encoder, config, rows)
    return ShardContents(
        arrays={
            name: np.concatenate(rows[name]) if rows[name] else np.empty((0, *shape), np.float16)
            for name, shape in shapes.items()
        },
        tracklet_ids=ids,
        skipped=skipped,
        source_digest=digest_shard(digests),
        **header,
    )


def _gather(source: Source, loaded: Iterator[LoadedPiece], encoder: Encoder, limit: int | None) -> _Gathered:
    """Collect the pieces of one tracklet. `limit`: sum up whenever the next piece would exceed so many frames."""
    tracklet = _Gathered(source)
    for item in loaded:
        tracklet.hashes += item.hashes
        tracklet.reason = tracklet.reason or item.reason
        if tracklet.reason:
            tracklet.frames.clear()
        else:
            tracklet.frames.update(item.frames)
        full = item.piece.last or (limit is not None and len(tracklet.frames) + len(item.piece.names) > limit)
        if limit is not None and full and tracklet.frames:
            tracklet.add_to_sums(encoder)
        if item.piece.last:
            break
    return tracklet


def _encode(batch: list[_Gathered], encoder: Encoder, config: ExtractConfig, rows: Rows) -> None:
    """Append the rows of B tracklets: the plain draws, then each view of those that have views."""
    if not batch:
        return
    if config.frames is None:
        for tracklet in batch:
            plain, *views = (encoder.mean_of(total, tracklet.count) for total in tracklet.sums)  # (N, D) each
            rows[fmt.VISUAL].append(plain[None])  # (1, N, D)
            if views:
                rows[fmt.AUGMENTED].append(np.stack(views)[None])  # (1, K, N, D)
        return
    encoded = encoder.encode_frames(_draws(batch, 0), config.keep_frames)
    rows[fmt.VISUAL].append(encoded.tokens)  # (B, N, D)
    rows[fmt.FRAME_EMBEDDINGS].append(encoded.frame_embeddings)  # (B, T, D)
    if encoded.frame_tokens is not None:
        rows[fmt.FRAME_TOKENS].append(encoded.frame_tokens)  # (B, T, N, D)
    viewed = [tracklet for tracklet in batch if len(tracklet.source.draws) > 1]  # train tracklets alone
    if viewed:
        numbers = range(1, config.views + 1)
        tokens = [encoder.encode_frames(_draws(viewed, number)).tokens for number in numbers]
        rows[fmt.AUGMENTED].append(np.stack(tokens, axis=1))  # (B_train, K, N, D)


def _draws(batch: list[_Gathered], number: int) -> NDArray[np.uint8]:
    """Return one draw of each tracklet, (B, T, S, S, 3)."""
    return np.stack([tracklet.drawn(tracklet.source.draws[number]) for tracklet in batch])
