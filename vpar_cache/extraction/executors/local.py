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
from vpar_cache.cache.writer import ShardContents
from vpar_cache.datasets.decoding import library_versions
from vpar_cache.datasets.frame_choice import Source
from vpar_cache.datasets.loading import PIECE_FRAMES, LoadedPiece, cut, load_piece, map_ahead
from vpar_cache.errors import CacheError, Stopped, VparError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import build_encoder
from vpar_cache.extraction.plan import Plan, ShardTask, file_signature
from vpar_cache.extraction.shard import compute_shard

if TYPE_CHECKING:
    from vpar_cache.backbones.encoder import Encoder

Publish = Callable[[ShardTask, str, ShardContents], object]
"""Gets a task, the signature of its files from before they were read, and the shard."""


class LocalExecutor:
    """Writers on this machine's devices, which share one pool of threads that decode."""

    def __init__(
        self,
        config: ExtractConfig,
        plan: Plan,
        encoder: Encoder,
        pool: ThreadPoolExecutor,
        publish: Publish,
        done: Callable[[int], object],
        stop: Stop,
    ) -> None:
        """`encoder` is that of the first device; `done` is called with 1 for each tracklet."""
        self._config, self._plan, self._encoder, self._pool = config, plan, encoder, pool
        self._publish, self._done, self._stop = publish, done, stop
        self._failed = threading.Event()

    def run(self, tasks: Sequence[ShardTask]) -> None:
        """Compute and publish every task. The error of one writer ends the others after their batch."""
        todo: queue.SimpleQueue[ShardTask] = queue.SimpleQueue()
        for task in tasks:
            todo.put(task)
        devices = self._config.devices
        if len(devices) == 1:
            self._write_on(devices[0], self._encoder, todo)
            return
        with ThreadPoolExecutor(len(devices)) as writers:
            first, *others = devices
            running = [writers.submit(self._write_on, first, self._encoder, todo)]
            running += [writers.submit(self._write_on, device, None, todo) for device in others]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                self._failed.set()
        failures = [error for future in running if (error := future.exception()) is not None]
        if failures:
            raise min(failures, key=lambda error: isinstance(error, Stopped))  # the cause first

    def _write_on(self, device: str, encoder: Encoder | None, todo: queue.SimpleQueue[ShardTask]) -> None:
        """Run one writer. An unexpected error becomes one line that says how to go on."""
        try:
            self._write(encoder or self._same_encoder(device), todo)
        except (VparError, OSError, Stopped):
            raise
        except Exception as error:
            raise CacheError(
                f"the writer on {device} failed ({type(error).__name__}: {str(error)[:300]}); finished shards are "
                "kept: run the same command again to go on, with --debug for the traceback"
            ) from error

    def _same_encoder(self, device: str) -> Encoder:
        """Return the first device's encoder on another one: with the precision that auto resolved to there."""
        encoder = build_encoder(self._config, device, self._encoder.precision)
        if encoder.visual_digest != self._encoder.visual_digest:
            raise CacheError(
                f"--weights {encoder.weights_name} have changed while they were read for {device}; run the same "
                "command again"
            )
        return encoder

    def _write(self, encoder: Encoder, todo: queue.SimpleQueue[ShardTask]) -> None:
        """Take tasks: read and decode ahead on the pool, encode here, publish."""
        taken: queue.SimpleQueue[tuple[ShardTask, str]] = queue.SimpleQueue()

        def sources() -> Iterator[Source]:
            while True:
                try:
                    task = todo.get_nowait()
                except queue.Empty:
                    return
                taken.put((task, file_signature(task)))  # before reading, so that a later change shows
                yield from task.sources

        header = {
            "visual_config": self._plan.visual_config,
            "visual_fingerprint": self._plan.visual_fingerprint,
            "weights": encoder.weights_name,
            "environment": {**encoder.environment(), **library_versions()},
        }
        frames, batch = self._config.frames, encoder.batch_frames(self._config.batch_size)
        length = min(PIECE_FRAMES, batch) if frames is None else None
        pieces = chain.from_iterable(cut(source, length) for source in sources())
        load = partial(load_piece, size=encoder.image_size, resize=self._config.resize)
        ahead = 2 * batch // (length or frames or 1) + 2  # pieces of about two batches
        with closing(map_ahead(self._pool, load, pieces, ahead)) as results:  # closed: nothing more is decoded
            loaded = self._until_stopped(results)
            for first in loaded:
                task, signature = taken.get()
                contents = compute_shard(task, chain([first], loaded), encoder, self._config, header, self._done)
                self._publish(task, signature, contents)

    def _until_stopped(self, loaded: Iterator[LoadedPiece]) -> Iterator[LoadedPiece]:
        """Yield the same pieces. Raise Stopped when the run should end: to stop yielding would shorten a shard."""
        for item in loaded:
            check_stop(lambda: self._failed.is_set() or self._stop())
            yield item
