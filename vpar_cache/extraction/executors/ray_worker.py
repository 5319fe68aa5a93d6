"""What runs in a worker of a Ray cluster: an encoder that computes one shard task after the other."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpar_cache import __version__
from vpar_cache.base.callbacks import never
from vpar_cache.base.computing import fp32_without_tf32
from vpar_cache.base.cores import limit_torch_threads, share_threads
from vpar_cache.datasets.decoding import preprocessing_identity
from vpar_cache.errors import UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import EncoderIdentity, build_encoder, identity_of
from vpar_cache.extraction.executors.decoding import decoding_threads, on_threads
from vpar_cache.extraction.executors.writing import write_shards
from vpar_cache.extraction.plan import Plan, ShardReceipt, ShardTask
from vpar_cache.extraction.text_fields import TextFields

_TRIES = 3
"""Of a task that ends in an error of a file system, which may have a moment of weakness."""


@dataclass(frozen=True)
class Started:
    """A worker that is ready."""

    name: str
    identity: EncoderIdentity
    preprocessing: dict[str, Any]
    """What its libraries make of pictures, see `preprocessing_identity`."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """A published shard, and how long a worker computed it and had waited for it, in seconds."""

    receipt: ShardReceipt
    seconds: float
    waited: float


class RayWorker:
    """Made an actor by Ray. Errors are raised where the driver asks for the result."""

    def __init__(self, settings: tuple[ExtractConfig, Path], workers: int) -> None:
        """`settings`: of the extraction, and the file that shows that the output folder is shared. `workers`: of
        this machine, which share its cores.
        """
        self._config, self._probe = settings
        self._workers = workers
        self._ended: float | None = None

    def start(self, version: str) -> Started:
        """Build the encoder. UserError where this machine is not as the driver's."""
        name = f"process {os.getpid()} on {socket.gethostname()}"
        if version != __version__:
            raise UserError(
                f"--executor ray: {name} has vpar-cache {__version__}, and the driver {version}; install the same "
                "version on all machines"
            )
        if not self._probe.exists():
            raise UserError(
                f"--out: {name} does not see {self._probe.parent}; expected a folder that all machines share. "
                "Choose another --out, or start the cluster where they do"
            )
        limit_torch_threads()
        share_threads(self._workers)
        self._pool = ThreadPoolExecutor(decoding_threads(self._config, self._workers))
        self._encoder = build_encoder(self._config)
        return Started(name, identity_of(self._encoder), preprocessing_identity(), self._encoder.notes)

    def encode_text(self, text: TextFields) -> TextFields:
        """Return the text fields with their embeddings."""
        with fp32_without_tf32():
            text.encode(self._encoder)
        return text

    def run(self, plan: Plan, task: ShardTask) -> Outcome:
        """Compute and publish a shard."""
        started = time.monotonic()
        waited = 0.0 if self._ended is None else started - self._ended
        for left in reversed(range(_TRIES)):
            try:
                receipt = self._write(plan, task)
                break
            except OSError:
                if not left:
                    raise
                time.sleep(1)
        self._ended = time.monotonic()
        return Outcome(receipt, self._ended - started, waited)

    def _write(self, plan: Plan, task: ShardTask) -> ShardReceipt:
        receipts: list[ShardReceipt] = []
        with fp32_without_tf32():
            write_shards(
                _Given([task]),
                self._encoder,
                self._config,
                plan,
                on_threads(self._pool, self._config, self._encoder.image_size),
                receipts.append,
                lambda _: None,
                never,
            )
        return receipts[0]


class _Given:
    """Tasks that this process has been given; the driver holds their locks."""

    def __init__(self, tasks: list[ShardTask]) -> None:
        self._tasks = tasks

    def take(self) -> tuple[ShardTask, ExitStack] | None:
        return (self._tasks.pop(0), ExitStack()) if self._tasks else None
