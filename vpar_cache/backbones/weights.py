"""Weights of a frozen model from a local file: whole or not at all, and never by running code of the file."""

from __future__ import annotations

import mmap
import struct
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from blake3 import blake3
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vpar_cache.errors import UserError

DAMAGED = (SafetensorError, UnpicklingError, EOFError, zipfile.BadZipFile)
"""What the libraries raise that load weights from the hub's cache, where a file is cut short or a program."""
_MALFORMED = (
    SafetensorError, UnpicklingError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError,
    AssertionError, MemoryError, OverflowError, zipfile.BadZipFile,
    struct.error,
)  # fmt: skip
"""What the two readers raise on bytes that are no tensors; torch's meets garbage with nearly anything."""


def is_weights_file(weights: str) -> bool:
    """True when --weights names a file, there or not."""
    return Path(weights).suffix in (".safetensors", ".pt", ".pth", ".bin", ".ckpt") or Path(weights).is_file()


def random_seed_of(weights: str) -> int | None:
    """random:SEED -> SEED; None for real weights. A malformed seed is a UserError."""
    if not weights.startswith("random:"):
        return None
    seed = weights.removeprefix("random:")
    if not seed.isdecimal() or len(seed) > 18:
        raise UserError(f"--weights {weights!r}: the seed must be a whole number, as in random:0")
    return int(seed)


def load_weights(model: nn.Module, path: Path, backbone: str, unused: tuple[str, ...] = ()) -> None:
    """Load a state dict whole or not at all: UserError for any missing, extra or misshapen tensor.

    `unused`: what the names of tensors start with that the file may hold and the model lacks: a classifier.
    """
    expected = model.state_dict()
    found = _read_state(path).items()
    state = {name: tensor for name, tensor in found if name in expected or not name.startswith(unused)}
    # Batch norms count batches while they train; files of tensors alone often leave the count out.
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    needed = expected.keys() - counters
    missing, extra = sorted(needed - state.keys()), sorted(state.keys() - expected.keys())
    if missing or extra:
        raise UserError(
            f"--weights {path} do not fit --backbone {backbone}: {len(missing)} tensors missing "
            f"(first: {missing[:1]}), {len(extra)} unknown (first: {extra[:1]}); "
            "it must be a state dict of this architecture, with the names of its library"
        )
    for name, tensor in state.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.is_floating_point() != expected[name].is_floating_point():
            raise UserError(
                f"--weights {path}: {name} holds {tensor.dtype} ({tensor.layout}), but must hold "
                f"plain numbers such as {expected[name].dtype}; give the state dict that the model was saved as"
            )
        if tensor.shape != expected[name].shape:
            raise UserError(
                f"--weights {path} do not fit --backbone {backbone}: {name} is {tuple(tensor.shape)}, "
                f"but must be {tuple(expected[name].shape)}; use the architecture that they were trained with"
            )
    model.load_state_dict({**{name: expected[name] for name in counters}, **state})


def _read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors or a torch file, without ever running code of the file."""
    if path.exists() and not path.is_file():
        raise UserError(f"--weights {path} is no plain file; give a readable file")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            _refuse_bombs(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"--weights {path}: {error.strerror or error}; give a readable file") from error
    except _MALFORMED as error:
        raise UserError(
            f"--weights {path} is no plain file of tensors and was not loaded; TorchScript archives (OpenAI's "
            "original .pt) and pickled programs are refused: use the tag openai, or a .safetensors state dict"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]  # a training checkpoint of open_clip
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UserError(f"--weights {path} hold no state dict: tensors by name are expected")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _refuse_bombs(path: Path) -> None:
    """UserError for a torch file that may take more memory than its own size.

    torch stores tensors as they are: a compressed or overlapping part is not its own. And of the functions
    that its safe loader calls, bytearray alone fills as much memory as the file asks for.
    """
    bomb = False
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:  # torch reads no code, which TorchScript compresses
            parts = [part for part in archive.infolist() if part.filename.split("/")[1:2] != ["code"]]
        compressed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
        bomb = compressed or sum(part.file_size for part in parts) > path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        bomb = bomb or data.find(b"bytearray") >= 0
    if bomb:
        raise UserError(f"--weights {path} would unpack to more than the file holds; save the state dict again")


def tensor_digest(module: nn.Module, skip: str | None = None) -> str:
    """blake3 over all tensors: name, shape, dtype, bytes; the file format does not enter."""
    hasher = blake3(max_threads=blake3.AUTO)
    for name, tensor in sorted(module.state_dict().items()):
        if skip is not None and name.startswith(skip):
            continue
        hasher.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        hasher.update(tensor.contiguous().numpy().tobytes())
    return hasher.hexdigest()
