"""The state that an interrupted training run continues from: one safetensors file beside the run folders.

It holds the model, Adam's moments, the best epoch so far, the history and the state of the order of batches, so
that a resumed run equals an uninterrupted one bit for bit on a CPU.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from blake3 import blake3
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vpar_cache.base.files import atomic_path, check_readable, plain_failures, read_failure, remove_leftovers
from vpar_cache.base.hashing import canonical_json
from vpar_cache.errors import CacheError
from vpar_cache.runs.folder import tensors_under

SECONDS_BETWEEN = 10.0
"""Between two writes: so much finished work may be lost."""
_METADATA = "vpar"
_FIX = "start over with --restart"


@dataclass
class Checkpoint:
    """The state of a run after `epoch` epochs."""

    epoch: int = 0
    model: Mapping[str, Tensor] = field(default_factory=dict)
    optimizer: Mapping[str, Tensor] = field(default_factory=dict)
    """Adam's tensors by `parameter number.name`."""
    best: Mapping[str, Tensor] = field(default_factory=dict)
    """The model at the best epoch; empty where nothing is selected."""
    best_epoch: int = 0
    best_f1: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)
    order: Mapping[str, Any] = field(default_factory=dict)
    """State of the bit generator that shuffles the rows."""


def checkpoint_path(runs: Path, name: str) -> Path:
    """Return where a run of that name keeps its checkpoint."""
    return runs / f".{name}.checkpoint"


class CheckpointFile:
    """`.NAME.checkpoint` in the runs folder, for one run with one set of settings."""

    def __init__(self, runs: Path, name: str, run_fingerprint: str) -> None:
        self.path = checkpoint_path(runs, name)
        self._fingerprint = run_fingerprint
        self._saved_at = time.monotonic()

    def load(self) -> Checkpoint | None:
        """Return the last checkpoint, None where there is none.

        Raises CacheError for a file that is damaged or cannot be read now, or one of a run with other settings or
        features.
        """
        if not self.path.is_file():
            return None
        check_readable(self.path)
        try:
            with safe_open(self.path, "pt") as file:
                record = json.loads((file.metadata() or {})[_METADATA])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            if record["blake3"] != _digest(record, tensors):
                raise ValueError("its contents have changed since it was written")
            if record["fingerprint"] != self._fingerprint:
                raise CacheError(
                    f"{self.path} is the checkpoint of a run with other settings or features; {_FIX}, or choose "
                    "another --name"
                )
            return Checkpoint(
                epoch=int(record["epoch"]),
                model=tensors_under("model.", tensors),
                optimizer=tensors_under("optimizer.", tensors),
                best=tensors_under("best.", tensors),
                best_epoch=int(record["best_epoch"]),
                best_f1=float(record["best_f1"]),
                history=list(record["history"]),
                order=dict(record["order"]),
            )
        except OSError as error:
            raise read_failure(self.path, error) from error
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise CacheError(f"{self.path} is not a readable checkpoint ({error}); {_FIX}") from error

    def save_if_due(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint, unless the last write was less than SECONDS_BETWEEN ago."""
        if time.monotonic() - self._saved_at < SECONDS_BETWEEN:
            return
        parts = {"model": checkpoint.model, "optimizer": checkpoint.optimizer, "best": checkpoint.best}
        tensors = {
            f"{part}.{name}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for part, held in parts.items()
            for name, tensor in held.items()
        }  # cloned, since safetensors refuses tensors that share memory
        record: dict[str, Any] = {
            "fingerprint": self._fingerprint,
            "epoch": checkpoint.epoch,
            "best_epoch": checkpoint.best_epoch,
            "best_f1": checkpoint.best_f1,
            "history": checkpoint.history,
            "order": checkpoint.order,
        }
        record["blake3"] = _digest(record, tensors)
        with atomic_path(self.path) as partial:
            save_file(tensors, partial, {_METADATA: canonical_json(record)})
        self._saved_at = time.monotonic()

    def remove(self) -> None:
        """Remove the file, and what a killed process left of writing it."""
        with plain_failures(self.path):
            self.path.unlink(missing_ok=True)
            remove_leftovers(self.path)


def _digest(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return blake3 over the record and all tensors; safetensors itself does not check its content."""
    hasher = blake3(canonical_json({key: value for key, value in record.items() if key != "blake3"}).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        hasher.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return Adam's state as tensors by `parameter number.name`."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, held in state.items() for name, value in held.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Load what optimizer_tensors returned; learning rate and the like stay as they are."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
