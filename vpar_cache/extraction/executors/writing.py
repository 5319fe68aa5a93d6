"""Read, decode, encode and publish shards in this process, on one device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from vpar_cache.base.callbacks import Stop, check_stop
from vpar_cache.cache.format import shard_folder
from vpar_cache.datasets.frame_choice import Source
from vpar_cache.datasets.loading import PIECE_FRAMES, LoadedPiece, cut
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors.decoding import Read
from vpar_cache.extraction.executors.interface import Done, Received
from vpar_cache.extraction.plan import Plan, ShardReceipt, ShardTask, file_signature
from vpar_cache.extraction.shard import compute_shard, publish_shard

if TYPE_CHECKING:
    from vpar_cache.backbones.encoder import Encoder


class Tasks(Protocol):
    """Where a writer gets its work."""

    def take(self) -> tuple[ShardTask, ExitStack] | None:
        """Return a task, and its lock to close when the shard is published; None where none is free."""


def write_shards(
    todo: Tasks,
    encoder: Encoder,
    config: ExtractConfig,
    plan: Plan,
    read: Read,
    received: Received,
    done: Done,
    stop: Stop,
) -> None:
    """Take the tasks that are free: read and decode ahead with `read`, encode here, publish."""
    taken: deque[tuple[ShardTask, ExitStack, dict[str, str]]] = deque()

    def sources() -> Iterator[Source]:
        while (free := todo.take()) is not None:
            task, lock = free
            # Before reading, so that a later change shows.
            signatures = {s.tracklet.tracklet_id: file_signature(s) for s in task.to_encode}
            taken.append((task, lock, signatures))
            yield from task.to_encode

    frames, batch = config.frames, encoder.batch_frames(config.batch_size)
    length = PIECE_FRAMES if frames is not None else min(PIECE_FRAMES, batch)
    usual = length if frames is None else min(length, frames * (1 + config.views))
    pieces = chain.from_iterable(cut(source, length) for source in sources())
    ahead = 2 * batch // usual + 2  # pieces of about two batches
    try:
        with closing(read(pieces, ahead)) as results:  # closed: nothing more is decoded
            loaded = _until_stopped(results, stop)
            for first in loaded:
                task, lock, signatures = taken[0]
                contents = compute_shard(task, chain([first], loaded), encoder, config, plan, done)
                header = publish_shard(shard_folder(config.out), contents)
                taken.popleft()
                lock.close()
                received(ShardReceipt(task.number, header, signatures))
    finally:
        for _, lock, _ in taken:
            lock.close()


def _until_stopped(loaded: Iterator[LoadedPiece], stop: Stop) -> Iterator[LoadedPiece]:
    """Yield the same pieces. Raise Stopped when the run should end: to stop yielding would shorten a shard."""
    for item in loaded:
        check_stop(stop)
        yield item
