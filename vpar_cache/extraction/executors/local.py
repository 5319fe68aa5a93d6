"""Keep or compute every shard of an extraction, on one or several devices."""

from __future__ import annotations

import math
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from vpar_cache.base.files import PARTIAL_SUFFIX
from vpar_cache.base.settings import fingerprint
from vpar_cache.cache import format as fmt
from vpar_cache.cache.fingerprint import other_settings
from vpar_cache.cache.headers import ShardHeader, read_shard_header
from vpar_cache.cache.index import read_index
from vpar_cache.cache.timing import save_timing
from vpar_cache.cache.writer import write_shard
from vpar_cache.datasets.draws import Source
from vpar_cache.datasets.frames import preprocessing_identity
from vpar_cache.datasets.loading import (
    PIECE_FRAMES,
    Item,
    cut,
    hash_tracklet,
    load_piece,
    load_tracklet,
    map_ahead,
)
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import CacheError, UserError, VparError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.lazy_encoder import LazyEncoder, make_encoder
from vpar_cache.extraction.plan import ShardTask, SourceMemory, digest_shard, file_signature, plan_shards
from vpar_cache.extraction.shard import compute_shard, compute_whole_shard, row_shapes

if TYPE_CHECKING:
    from vpar_cache.backbones.encoder import Encoder

Say = Callable[[str], None]

SHOWN_LEFT_OUT = 5
"""Tracklets left out that are named on the way and in the error; the rest are in skipped.csv."""


class _Stopped(Exception):  # noqa: N818, it is no error
    """Another writer failed, or the user interrupted: the shard in hand is given up."""


class ShardRun:
    """The shard tasks of one extraction and what became of them."""

    def __init__(
        self,
        config: ExtractConfig,
        dataset: Dataset,
        encoder: LazyEncoder,
        say: Say,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check` is called often and raises when the run is to end."""
        self._config = config
        self._say = say
        self._check = check
        self._encoder = encoder
        self._folder = fmt.shard_folder(config.out)
        row_bytes = 2 * sum(map(math.prod, row_shapes(config, encoder.identity).values()))
        self.tasks = plan_shards(dataset.tracklets, config, row_bytes)
        self.visual_config: dict[str, Any] = {
            **config.visual_settings(),
            **encoder.identity.visual,
            **preprocessing_identity(),
        }
        self.visual_fingerprint = fingerprint(self.visual_config)
        self._memory = SourceMemory(self._folder / ".seen")
        self._headers: dict[int, ShardHeader] = {}
        self.kept = 0
        self._num_left_out = 0
        self._stop = threading.Event()

    def refuse_other_fingerprint(self) -> None:
        """CacheError when --out already holds features of other settings or weights."""
        found: dict[str, Any] | None = None
        for path in (self._config.out, *sorted(self._folder.glob("shard-*.h5"))):
            try:
                if path == self._config.out:
                    found = read_index(path).visual_config
                else:
                    found = read_shard_header(path).visual_config
                break
            except (CacheError, UserError):
                continue  # absent or damaged: it will be made anew, and says nothing of the settings
        if found is not None and fingerprint(found) != self.visual_fingerprint:
            self._encoder.load()  # what is recalled of an encoder refuses nothing: it may be wrong
            raise other_settings(self._config.out, self.visual_config, found)

    def run(self) -> list[ShardHeader]:
        """Keep or compute every shard; the headers in shard order."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            if path.name.endswith(PARTIAL_SUFFIX):
                path.unlink(missing_ok=True)  # of a killed run; the caller holds the lock
        try:
            self._keep_or_compute()
        finally:
            self._memory.save()
        return [self._headers[task.number] for task in self.tasks]

    def _keep_or_compute(self) -> None:
        workers = self._config.workers or os.cpu_count() or 1
        total = sum(len(task.sources) for task in self.tasks)
        with (
            ThreadPoolExecutor(workers) as pool,
            tqdm(total=total, unit="tracklet", desc="extract", disable=None) as bar,
        ):
            todo: queue.SimpleQueue[ShardTask] = queue.SimpleQueue()
            for task in self.tasks:
                self._check()
                header = self._published(task, pool)
                if header is None:
                    todo.put(task)
                else:
                    self._headers[task.number] = header
                    bar.update(len(task.sources))
            self.kept = len(self._headers)
            if not todo.empty():
                self._compute_all(todo, pool, bar)

    def _published(self, task: ShardTask, pool: ThreadPoolExecutor) -> ShardHeader | None:
        """The header of a shard that stands for this task as its sources are now, else None."""
        path = self._folder / task.file
        if not path.exists():
            return None
        try:
            header = read_shard_header(path)
        except CacheError as error:
            self._say(f"{error}; redoing it")
            return None
        if header.visual_fingerprint != self.visual_fingerprint:
            return None
        signature = file_signature(task)
        digest = None if self._config.recheck else self._memory.recall(task.file, signature)
        if digest is None:
            digest = digest_shard(list(pool.map(hash_tracklet, task.sources)))
            self._remember(task, signature, digest, header)
        return header if header.source_digest == digest else None

    def _compute_all(self, todo: queue.SimpleQueue[ShardTask], pool: ThreadPoolExecutor, bar: tqdm[Any]) -> None:
        """One writer a device; all take from the same list."""
        first = self._encoder.load()  # before anything is computed: it may not be what was recalled
        missing = sum(len(task.sources) for task in self.tasks if task.number not in self._headers)
        started = time.monotonic()
        devices = self._config.devices
        if len(devices) == 1:
            self._compute_on(devices[0], todo, pool, bar)
        else:
            with ThreadPoolExecutor(len(devices)) as writers:
                running = [writers.submit(self._compute_on, device, todo, pool, bar) for device in devices]
                try:
                    wait(running, return_when=FIRST_EXCEPTION)
                finally:
                    self._stop.set()  # one failed, or an interrupt: the others end after the batch in hand
            failures = [error for future in running if (error := future.exception()) is not None]
            for error in sorted(failures, key=lambda error: isinstance(error, _Stopped)):
                raise error  # the cause, not those that it stopped
        save_timing(self._config.out, time.monotonic() - started, missing, str(first.device))

    def _compute_on(
        self, device: str, todo: queue.SimpleQueue[ShardTask], pool: ThreadPoolExecutor, bar: tqdm[Any]
    ) -> None:
        """A writer. What nobody foresaw becomes one line too: a long run should say how to go on."""
        try:
            first = device == self._config.devices[0]
            encoder = self._encoder.load() if first else self._another_encoder(device)
            self._compute(todo, encoder, pool, bar)
        except (VparError, OSError, _Stopped):
            raise
        except Exception as error:
            raise CacheError(
                f"{self._folder}: the writer on {device} failed ({type(error).__name__}: {str(error)[:300]}); "
                "finished shards are kept: run the same command again to go on, with --debug for the traceback"
            ) from error

    def _another_encoder(self, device: str) -> Encoder:
        """The same on one more device: what `auto` came to on the first holds for all, as the fingerprint says."""
        known = self._encoder.identity
        encoder = make_encoder(self._config, device, known.precision)
        if encoder.visual_identity() != known.visual:
            raise CacheError(
                f"--weights {encoder.weights_name} have changed while they were read for {device}; run the same "
                "command again"
            )
        return encoder

    def _compute(
        self,
        todo: queue.SimpleQueue[ShardTask],
        encoder: Encoder,
        pool: ThreadPoolExecutor,
        bar: tqdm[Any],
    ) -> None:
        """Read and decode ahead on the pool, encode here, publish, take the next task."""
        taken: queue.SimpleQueue[tuple[ShardTask, str]] = queue.SimpleQueue()

        def sources() -> Iterator[Source]:
            while True:
                try:
                    task = todo.get_nowait()
                except queue.Empty:
                    return
                taken.put((task, file_signature(task)))  # before reading: a later touch must show
                yield from task.sources

        header = {
            "visual_config": self.visual_config,
            "visual_fingerprint": self.visual_fingerprint,
            "weights": encoder.weights_name,
            "environment": encoder.environment(),
        }
        compute = compute_whole_shard if self._config.frames is None else compute_shard
        with closing(self._decoded(sources(), encoder, pool)) as decoded:  # closed: nothing more is decoded
            loaded = self._until_stopped(decoded)
            for first in loaded:
                task, signature = taken.get()
                contents = compute(task, chain([first], loaded), encoder, self._config, header, bar.update)
                path = self._folder / task.file
                write_shard(path, contents)
                self._headers[task.number] = read_shard_header(path)
                self._remember(task, signature, contents.source_digest, self._headers[task.number])
                for skip in contents.skipped:
                    self._say_left_out(*skip)

    def _decoded(
        self, sources: Iterator[Source], encoder: Encoder, pool: ThreadPoolExecutor
    ) -> Generator[Any, None, None]:
        """A LoadedTracklet a source, or with --frames all its LoadedPieces; about two batches ahead."""
        frames, batch = self._config.frames, encoder.batch_frames(self._config.batch_size)
        size, resize = encoder.image_size, self._config.resize
        if frames is not None:
            return map_ahead(
                pool, partial(load_tracklet, size=size, resize=resize), sources, 2 * batch // frames + 2
            )
        length = min(PIECE_FRAMES, batch)
        pieces = chain.from_iterable(cut(source, length) for source in sources)
        return map_ahead(pool, partial(load_piece, size=size, resize=resize), pieces, 2 * batch // length + 2)

    def _say_left_out(self, tracklet_id: str, split: str, reason: str) -> None:
        """The first few as they are met; all of them are listed at the end."""
        self._num_left_out += 1
        if self._num_left_out <= SHOWN_LEFT_OUT:
            self._say(f"left out: {tracklet_id} ({split}): {reason}")

    def _until_stopped(self, loaded: Iterator[Item]) -> Iterator[Item]:
        """The same, but raises when the run is to stop: an end would look like a shorter shard."""
        for item in loaded:
            self._check()
            if self._stop.is_set():
                raise _Stopped
            yield item

    def _remember(self, task: ShardTask, signature: str, digest: str, header: ShardHeader) -> None:
        """A shard that left something out is read again every time: permissions and disks are mended without
        a trace in sizes and times."""
        if not header.skipped:
            self._memory.remember(task.file, signature, digest)

    def remove_unlisted(self) -> None:
        """Shards of a larger dataset or another shard size, once the index no longer lists them."""
        wanted = {task.file for task in self.tasks}
        for path in self._folder.iterdir():
            if fmt.SHARD_NAME.fullmatch(path.name) and path.name not in wanted:
                path.unlink(missing_ok=True)
