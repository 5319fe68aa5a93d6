"""Compute shards in this process: writers on each device, which take from one list."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vpar_cache.base.callbacks import Say, Stop, check_stop
from vpar_cache.base.computing import fp32_without_tf32
from vpar_cache.base.cores import limit_torch_threads, share_threads
from vpar_cache.base.devices import explain_device, resolve_device
from vpar_cache.datasets.loading import load_piece
from vpar_cache.errors import CacheError, Stopped, VparError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import EncoderIdentity, build_encoder, identity_of
from vpar_cache.extraction.executors.decoding import Read, decoding_processes, in_processes, on_threads
from vpar_cache.extraction.executors.interface import Done, Received
from vpar_cache.extraction.executors.shared_tasks import SharedTasks
from vpar_cache.extraction.executors.writing import write_shards
from vpar_cache.extraction.plan import Plan
from vpar_cache.extraction.text_fields import TextFields

if TYPE_CHECKING:
    from vpar_cache.backbones.encoder import Encoder


WRITERS_PER_GPU = 2
"""While one gathers frames and publishes a shard, the GPU computes for the other."""


class LocalExecutor:
    """Writers on this machine's devices, which share what decodes: a pool of threads, or processes."""

    def __init__(self, config: ExtractConfig, pool: ThreadPoolExecutor, say: Say, stop: Stop) -> None:
        self._config, self._pool, self._say, self._stop = config, pool, say, stop
        self._encoder: Encoder | None = None
        self._failed = threading.Event()

    def start(self) -> EncoderIdentity:
        """Build the encoder on the first device. UserError where a device is missing, before weights are read."""
        for device in self._config.devices:
            self._say(explain_device(device))
        limit_torch_threads()
        self._say(f"building the encoder {self._config.backbone}")
        started = time.monotonic()
        encoder = build_encoder(self._config)
        self._say(
            f"encoder built in {time.monotonic() - started:.1f} s: weights {encoder.weights_name}, "
            f"{encoder.precision}"
        )
        for note in encoder.notes:
            self._say(note)
        self._encoder = encoder
        return identity_of(encoder)

    def encode_text(self, text: TextFields) -> TextFields:
        """Return the text fields with their embeddings."""
        assert self._encoder is not None
        with fp32_without_tf32():
            text.encode(self._encoder)
        return text

    def run(self, todo: SharedTasks, plan: Plan, received: Received, done: Done) -> None:
        """Compute and publish every task, or wait until another process has.

        The error of one writer ends the others after their batch.
        """
        assert self._encoder is not None
        devices = self._config.devices
        encoders = [self._encoder, *(self._encoder.copy_to(resolve_device(device)) for device in devices[1:])]
        writers = [
            (device, encoder)
            for device, encoder in zip(devices, encoders, strict=True)
            for _ in range(WRITERS_PER_GPU if encoder.device.type == "cuda" else 1)
        ]
        work = _Work(todo, plan, received, done)
        with (
            self._readers(self._encoder, len(writers)) as readers,
            ThreadPoolExecutor(len(writers)) as threads,
            fp32_without_tf32(),
        ):
            running = [
                threads.submit(self._write_on, device, encoder, read, work)
                for (device, encoder), read in zip(writers, readers, strict=True)
            ]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                self._failed.set()
        failures = [error for future in running if (error := future.exception()) is not None]
        if failures:
            raise min(failures, key=lambda error: isinstance(error, Stopped))  # the cause first

    def close(self) -> None:
        """Do nothing: the encoder goes with this object."""

    @contextmanager
    def _readers(self, encoder: Encoder, number: int) -> Iterator[list[Read]]:
        """Yield what reads frames, for each writer."""
        processes = decoding_processes(self._config, encoder.device.type)
        if processes:
            load = partial(load_piece, size=encoder.image_size, resize=self._config.resize)
            with in_processes(processes, number, load, encoder.image_size) as readers:
                yield readers
        else:
            yield [on_threads(self._pool, self._config, encoder.image_size)] * number

    def _write_on(self, device: str, encoder: Encoder, read: Read, work: _Work) -> None:
        """Run one writer. An unexpected error becomes one line that says how to go on."""
        share_threads(self._config.devices.count("cpu"))
        try:
            while work.todo.wait_for_others():
                write_shards(
                    work.todo, encoder, self._config, work.plan, read, work.received, work.done, self._ends
                )
        except (VparError, OSError, Stopped):
            raise
        except BrokenProcessPool as error:
            check_stop(self._stop)  # a signal to the whole group of processes ends those that decode first
            raise CacheError(
                "a process that decodes frames was ended from outside, as for want of memory; finished shards are "
                "kept: run the same command again to go on, with a lower --workers where memory is short"
            ) from error
        except Exception as error:
            raise CacheError(
                f"the writer on {device} failed ({type(error).__name__}: {str(error)[:300]}); finished shards are "
                "kept: run the same command again to go on, with --debug for the traceback"
            ) from error

    def _ends(self) -> bool:
        return self._failed.is_set() or self._stop()


@dataclass(frozen=True)
class _Work:
    """What the writers share."""

    todo: SharedTasks
    plan: Plan
    received: Received
    done: Done
