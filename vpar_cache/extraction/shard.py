"""The work of one shard: copy the rows that are stored already, encode the others, gather and publish."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.hashing import canonical_json
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import ShardHeader, Skipped, read_shard_header
from vpar_cache.cache.rows import RowArray
from vpar_cache.cache.writer import ShardContents, write_shard
from vpar_cache.datasets.decoding import apply_jitter, library_versions
from vpar_cache.datasets.frame_choice import Draw, Source, digest_source
from vpar_cache.datasets.loading import LoadedPiece
from vpar_cache.errors import DamagedError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.plan import Plan, ShardTask, StoredRow

if TYPE_CHECKING:  # it imports torch, which a run that computes nothing does not need
    from vpar_cache.backbones.encoder import EncodedBatch, Encoder

HELD_BATCHES = 8
"""Views draw other frames than the plain draw: so many batches of decoded frames are held, at most."""


@dataclass
class _Gathered:
    """A tracklet whose rows are not made yet."""

    source: Source
    place: int
    """Its number in the task."""
    hashes: list[str] = field(default_factory=list)
    reason: str = ""
    """Why it is left out."""
    frames: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    """(S, S, 3) each, by file name: decoded and not yet encoded."""
    sums: list[Any] = field(default_factory=list)
    """With --frames all: for each draw the sum of its tokens, (N, width) on the device."""
    count: int = 0
    """How many frames are in each sum."""

    def drawn(self, draw: Draw) -> list[NDArray[np.uint8]]:
        """Return the decoded frames of a draw, each once, (S, S, 3) each."""
        frames = (self.frames[name] for name in draw.distinct() if name in self.frames)
        jitter = draw.jitter
        return [frame if jitter is None else apply_jitter(frame, jitter) for frame in frames]

    def add_to_sums(self, encoder: Encoder) -> None:
        """Encode the decoded frames, add them to the sums, and drop them."""
        sums = [encoder.sum_tokens(np.stack(self.drawn(draw))) for draw in self.source.draws]
        self.sums = [a + b for a, b in zip(self.sums, sums, strict=True)] if self.sums else sums
        self.count += len(self.frames)
        self.frames = {}


class _Rows:
    """The rows of a shard, by the numbers of their tracklets in the task."""

    def __init__(self) -> None:
        self.arrays: dict[str, dict[int, NDArray[np.float16]]] = defaultdict(dict)
        self.digests: dict[int, str] = {}
        self.skipped: dict[int, Skipped] = {}
        self.environments: set[str] = set()

    def copy(self, task: ShardTask, folder: Path) -> None:
        """Add the rows that are stored, as the bytes that they are."""
        by_shard: dict[str, list[tuple[int, StoredRow]]] = defaultdict(list)
        for place, (source, stored) in enumerate(zip(task.sources, task.stored, strict=True)):
            if isinstance(stored, StoredRow):
                self.digests[place] = stored.shard.source_digests[stored.row]
                by_shard[stored.shard.file].append((place, stored))
            elif stored is not None:
                self.skipped[place] = (source.tracklet.tracklet_id, source.tracklet.split, *stored[2:])
        for wanted in by_shard.values():
            shard = wanted[0][1].shard
            self.environments.update(shard.environments)
            for name, shape in shard.shapes.items():
                rows = [(place, stored.row) for place, stored in wanted if stored.row < shape[0]]
                array = RowArray([shard.extent(folder, name)], shape[1:]).gather([row for _, row in rows])
                self.arrays[name].update((place, array[n]) for n, (place, _) in enumerate(rows))

    def contents(self, task: ShardTask, plan: Plan, weights: str) -> ShardContents:
        """Return the shard."""
        places = sorted(self.digests)
        arrays = {}
        for name, shape in plan.shapes.items():
            rows = [self.arrays[name][place] for place in places if place in self.arrays[name]]
            arrays[name] = np.stack(rows) if rows else np.empty((0, *shape), np.float16)  # (rows, *shape)
        return ShardContents(
            arrays=arrays,
            tracklet_ids=[task.sources[place].tracklet.tracklet_id for place in places],
            source_digests=[self.digests[place] for place in places],
            skipped=[self.skipped[place] for place in sorted(self.skipped)],
            visual_config=plan.visual_config,
            visual_fingerprint=plan.visual_fingerprint,
            weights=weights,
            environments=sorted(self.environments),
        )


def copy_shard(task: ShardTask, plan: Plan, folder: Path, weights: str) -> ShardContents:
    """Return a shard of which every row is stored already."""
    rows = _Rows()
    rows.copy(task, folder)
    return rows.contents(task, plan, weights)


def compute_shard(
    task: ShardTask,
    loaded: Iterator[LoadedPiece],
    encoder: Encoder,
    config: ExtractConfig,
    plan: Plan,
    done: Callable[[int], object],
) -> ShardContents:
    """Take the pieces of this task's sources from `loaded`, encode them in batches, return the shard.

    Tracklets of as many frames are encoded together. With --frames all a tracklet is encoded alone, and only sums
    over its frames are held. A batch never crosses a shard, so that a shard's bytes do not depend on its
    neighbours. `done` is called with 1 for each tracklet.
    """
    limit = encoder.batch_frames(config.batch_size)
    rows = _Rows()
    rows.copy(task, fmt.shard_folder(config.out))
    done(len(rows.digests) + len(rows.skipped))
    batch = _Batch(encoder, config, rows, limit)
    for place, (source, stored) in enumerate(zip(task.sources, task.stored, strict=True)):
        if stored is not None:
            continue
        tracklet = _gather(source, place, loaded, encoder, limit if config.frames is None else None)
        digest = digest_source(source, tracklet.hashes)
        if tracklet.reason:
            skip = (source.tracklet.tracklet_id, source.tracklet.split, tracklet.reason, digest)
            rows.skipped[place] = skip
        else:
            rows.digests[place] = digest
            batch.add(tracklet)
        done(1)
    batch.encode()
    rows.environments.add(canonical_json({**encoder.environment(), **library_versions()}))
    return rows.contents(task, plan, encoder.weights_name)


def publish_shard(folder: Path, contents: ShardContents) -> ShardHeader:
    """Write a shard, unless an intact one of the same sources is there, and return its header."""
    path = folder / contents.file_name
    with suppress(DamagedError):
        header = read_shard_header(path)
        if header.shapes == {name: array.shape for name, array in contents.arrays.items()}:
            return header
    return read_shard_header(write_shard(folder, contents))


def _gather(
    source: Source, place: int, loaded: Iterator[LoadedPiece], encoder: Encoder, limit: int | None
) -> _Gathered:
    """Collect the pieces of one tracklet. `limit`: sum up whenever the next piece would exceed so many frames."""
    tracklet = _Gathered(source, place)
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


class _Batch:
    """Tracklets that are encoded together. Of each frame that a draw repeats one picture is held and encoded."""

    def __init__(self, encoder: Encoder, config: ExtractConfig, rows: _Rows, limit: int) -> None:
        """`limit`: frames of a forward pass."""
        self._encoder, self._config, self._rows, self._limit = encoder, config, rows, limit
        self._tracklets: list[_Gathered] = []
        self._frames = self._pictures = 0

    def add(self, tracklet: _Gathered) -> None:
        """Add a tracklet; encode those before it where it does not fit beside them."""
        frames = max(len(draw.distinct()) for draw in tracklet.source.draws)
        pictures = len(tracklet.frames)
        too_many = self._frames + frames > self._limit or self._pictures + pictures > HELD_BATCHES * self._limit
        if too_many or self._config.frames is None:
            self.encode()
        self._tracklets.append(tracklet)
        self._frames, self._pictures = self._frames + frames, self._pictures + pictures

    def encode(self) -> None:
        """Add the rows of B tracklets: the plain draws, then each view of those that have views."""
        if self._config.frames is None:
            self._add_means()
        else:
            self._add_draws()
        self._tracklets, self._frames, self._pictures = [], 0, 0

    def _add_means(self) -> None:
        arrays = self._rows.arrays
        for tracklet in self._tracklets:
            plain, *views = (
                self._encoder.mean_of(total, tracklet.count) for total in tracklet.sums
            )  # (N, D) each
            arrays[fmt.VISUAL][tracklet.place] = plain  # (N, D)
            if views:
                arrays[fmt.AUGMENTED][tracklet.place] = np.stack(views)  # (K, N, D)

    def _add_draws(self) -> None:
        arrays = self._rows.arrays
        for tracklet, row in self._encoded(self._tracklets, 0, self._config.keep_frames):
            arrays[fmt.VISUAL][tracklet.place] = row.tokens  # (N, D)
            order = tracklet.source.draws[0].order()  # (T,)
            arrays[fmt.FRAME_EMBEDDINGS][tracklet.place] = row.frame_embeddings[order]  # (T, D)
            if row.frame_tokens is not None:
                arrays[fmt.FRAME_TOKENS][tracklet.place] = row.frame_tokens[order]  # (T, N, D)
        viewed = [
            tracklet for tracklet in self._tracklets if len(tracklet.source.draws) > 1
        ]  # train tracklets alone
        views: dict[int, list[NDArray[np.float16]]] = defaultdict(list)
        for number in range(1, self._config.views + 1):
            for tracklet, row in self._encoded(viewed, number, keep_frames=False):
                views[tracklet.place].append(row.tokens)
        arrays[fmt.AUGMENTED].update((place, np.stack(tokens)) for place, tokens in views.items())  # (K, N, D)

    def _encoded(
        self, tracklets: list[_Gathered], number: int, keep_frames: bool
    ) -> Iterator[tuple[_Gathered, EncodedBatch]]:
        """Yield each tracklet with the features of one of its draws: those that repeat frames alike together."""
        alike: dict[tuple[int, ...], list[_Gathered]] = defaultdict(list)
        for tracklet in tracklets:
            alike[tuple(Counter(tracklet.source.draws[number].frames).values())].append(tracklet)
        for counts, group in alike.items():
            stacked = np.stack(
                [frame for t in group for frame in t.drawn(t.source.draws[number])]
            )  # (b*F, S, S, 3)
            frames = stacked.reshape(len(group), -1, *stacked.shape[1:])  # (b, F, S, S, 3)
            encoded = self._encoder.encode_frames(frames, keep_frames, counts)
            for row, tracklet in enumerate(group):
                yield tracklet, encoded.row(row)
