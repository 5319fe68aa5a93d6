"""Compute shards in this process: one writer thread a device; all of them take from one list."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from vpar_cache.base.callbacks import Stop, check_stop
from vpar_cache.base.devices import resolve_device
from vpar_cache.cache.format import shard_folder
from vpar_cache.datasets.frame_choice import Source
from vpar_cache.datasets.loading import PIECE_FRAMES, LoadedPiece, cut, load_piece, map_ahead
from vpar_cache.errors import CacheError, Stopped, VparError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.plan import Plan, ShardReceipt, ShardTask, file_signature
from vpar_cache.extraction.shard import compute_shard, publish_shard

if TYPE_CHECKING:
    from vpar_cache.backbones.encoder import Encoder


class LocalExecutor:
    """Writers on this machine's devices, which share one pool of threads that decode."""

    def __init__(
        self,
        config: ExtractConfig,
        plan: Plan,
        encoder: Encoder,
        pool: ThreadPoolExecutor,
        received: Callable[[ShardReceipt], object],
        done: Callable[[int], object],
        stop: Stop,
    ) -> None:
        """`encoder` is that of the first device. `received` gets the receipt of each task, `done` the number of
        tracklets that are done.
        """
        self._config, self._plan, self._encoder, self._pool = config, plan, encoder, pool
        self._received, self._done, self._stop = received, done, stop
        self._failed = threading.Event()

    def run(self, tasks: Sequence[ShardTask]) -> None:
        """Compute and publish every task, each of which has sources to encode.

        The error of one writer ends the others after their batch.
        """
        todo: queue.SimpleQueue[ShardTask] = queue.SimpleQueue()
        for task in tasks:
            todo.put(task)
        devices = self._config.devices
        if len(devices) == 1:
            self._write_on(devices[0], self._encoder, todo)
            return
        copies = [self._encoder.copy_to(resolve_device(device)) for device in devices[1:]]
        with ThreadPoolExecutor(len(devices)) as writers:
            running = [
                writers.submit(self._write_on, device, encoder, todo)
                for device, encoder in zip(devices, [self._encoder, *copies], strict=True)
            ]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                self._failed.set()
        failures = [error for future in running if (error := future.exception()) is not None]
        if failures:
            raise min(failures, key=lambda error: isinstance(error, Stopped))  # the cause first

    def _write_on(self, device: str, encoder: Encoder, todo: queue.SimpleQueue[ShardTask]) -> None:
        """Run one writer. An unexpected error becomes one line that says how to go on."""
        try:
            self._write(encoder, todo)
        except (VparError, OSError, Stopped):
            raise
        except Exception as error:
            raise CacheError(
                f"the writer on {device} failed ({type(error).__name__}: {str(error)[:300]}); finished shards are "
                "kept: run the same command again to go on, with --debug for the traceback"
            ) from error

    def _write(self, encoder: Encoder, todo: queue.SimpleQueue[ShardTask]) -> None:
        """Take tasks: read and decode ahead on the pool, encode here, publish."""
        taken: queue.SimpleQueue[tuple[ShardTask, dict[str, str]]] = queue.SimpleQueue()

        def sources() -> Iterator[Source]:
            while True:
                try:
                    task = todo.get_nowait()
                except queue.Empty:
                    return
                # Before reading, so that a later change shows.
                taken.put((task, {s.tracklet.tracklet_id: file_signature(s) for s in task.to_encode}))
                yield from task.to_encode

        frames, batch = self._config.frames, encoder.batch_frames(self._config.batch_size)
        length = PIECE_FRAMES if frames is not None else min(PIECE_FRAMES, batch)
        usual = length if frames is None else min(length, frames * (1 + self._config.views))
        folder = shard_folder(self._config.out)
        pieces = chain.from_iterable(cut(source, length) for source in sources())
        load = partial(load_piece, size=encoder.image_size, resize=self._config.resize)
        ahead = 2 * batch // usual + 2  # pieces of about two batches
        with closing(map_ahead(self._pool, load, pieces, ahead)) as results:  # closed: nothing more is decoded
            loaded = self._until_stopped(results)
            for first in loaded:
                task, signatures = taken.get()
                pieces_of = chain([first], loaded)
                contents = compute_shard(task, pieces_of, encoder, self._config, self._plan, self._done)
                header = publish_shard(folder, contents)
                self._received(ShardReceipt(task.number, header, signatures))

    def _until_stopped(self, loaded: Iterator[LoadedPiece]) -> Iterator[LoadedPiece]:
        """Yield the same pieces. Raise Stopped when the run should end: to stop yielding would shorten a shard."""
        for item in loaded:
            check_stop(lambda: self._failed.is_set() or self._stop())
            yield item
