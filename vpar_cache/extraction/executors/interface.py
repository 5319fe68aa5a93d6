"""What an extraction asks of the place where shard tasks run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vpar_cache.extraction.encoder_identity import EncoderIdentity
from vpar_cache.extraction.executors.shared_tasks import SharedTasks
from vpar_cache.extraction.plan import Plan, ShardReceipt
from vpar_cache.extraction.text_fields import TextFields

Received = Callable[[ShardReceipt], object]
"""Gets the receipt of each published shard."""
Done = Callable[[int], object]
"""Gets the number of tracklets that are done since the last call."""


class Executor(Protocol):
    """Runs shard tasks. `start` comes first, `close` last."""

    def start(self) -> EncoderIdentity:
        """Build the encoder, on every worker, and return what decides its features."""

    def encode_text(self, text: TextFields) -> TextFields:
        """Return the text fields with their embeddings."""

    def run(self, todo: SharedTasks, plan: Plan, received: Received, done: Done) -> None:
        """Compute and publish every task, or wait until another process has."""

    def close(self) -> None:
        """Let the workers go."""
