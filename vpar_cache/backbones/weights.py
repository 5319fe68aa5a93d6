"""Load the weights of a frozen network from a local file: all tensors or none, without running its code."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable, Mapping
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
"""Raised by the libraries that load weights from the hub's cache, for a file that is cut short or a program."""
_MALFORMED = (
    *DAMAGED, RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, MemoryError,
    OverflowError, struct.error,
)  # fmt: skip
"""Raised by torch's and safetensors' readers on bytes that are not tensors."""
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "module", "teacher")
"""Keys under which training programs store a state dict; timm and open_clip too prefer the averaged weights."""
_PREFIXES = ("module.", "_orig_mod.", "model.", "teacher.")
"""What DataParallel, torch.compile and wrapping modules put before every name."""
_START_BYTES = 512


def is_weights_file(weights: str) -> bool:
    """Return True when --weights names a file, whether it exists or not."""
    return Path(weights).suffix in (".safetensors", ".pt", ".pth", ".bin", ".ckpt") or Path(weights).is_file()


def random_seed_of(weights: str) -> int | None:
    """Return SEED of random:SEED, None for real weights. Raises UserError for an invalid seed."""
    if not weights.startswith("random:"):
        return None
    seed = weights.removeprefix("random:")
    if not seed.isdecimal() or len(seed) > 18:
        raise UserError(f"--weights: got {weights!r}; expected a whole number as the seed, as in random:0")
    return int(seed)


def load_weights(model: nn.Module, path: Path, backbone: str, unused: tuple[str, ...] = ()) -> None:
    """Load a state dict into `model`, all of it or nothing.

    `unused`: prefixes of tensor names that the file may hold and the model lacks, such as its classifier. Raises
    UserError for any missing, unknown or misshapen tensor.
    """
    expected = model.state_dict()
    found = _read_state(path, expected).items()
    state = {name: tensor for name, tensor in found if name in expected or not name.startswith(unused)}
    # Batch norms count batches while they train; many files leave the count out.
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = sorted(expected.keys() - counters - state.keys())
    unknown = sorted(state.keys() - expected.keys())
    if missing or unknown:
        raise UserError(
            f"--weights: {path} does not fit --backbone {backbone}: {len(missing)} tensors missing "
            f"(first: {missing[:1]}), {len(unknown)} unknown (first: {unknown[:1]}); expected a state dict of "
            "this architecture, with the names of its library"
        )
    for name, tensor in state.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.is_floating_point() != wanted.is_floating_point():
            raise UserError(
                f"--weights: {path} does not fit --backbone {backbone}: {name} is {tensor.dtype} "
                f"{tuple(tensor.shape)}; expected {wanted.dtype} {tuple(wanted.shape)}. Use the architecture that "
                "the weights were trained with"
            )
    model.load_state_dict({**{name: expected[name] for name in counters}, **state})


def _read_state(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by name from a .safetensors or a torch file, without running code of the file."""
    if path.exists() and not path.is_file():
        raise UserError(f"--weights: {path} is not a regular file; give a .safetensors or .pt file")
    try:
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
        _refuse_other_content(path, start)
        # By its first bytes, since safetensors files are also named .bin, .pt or not at all.
        if _starts_safetensors(start, path.stat().st_size):
            state: Any = load_file(path)
        else:
            _refuse_compressed(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"--weights: {path}: {error.strerror or error}; give a readable file") from error
    except _MALFORMED as error:
        raise UserError(
            f"--weights: {path} is not a file of tensors and was not loaded; TorchScript archives (OpenAI's "
            "original .pt) and pickled programs are refused. Use the tag openai, or a .safetensors state dict"
        ) from error
    return _unwrapped(path, state, expected)


def _refuse_other_content(path: Path, start: bytes) -> None:
    """Raise UserError for what often lies in place of a file of weights, known by its first bytes."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start:
        raise UserError(f"--weights: {path} is empty; expected a file of tensors. Copy or download it again")
    if text.startswith(b"version https://git-lfs.github.com"):
        raise UserError(
            f"--weights: {path} is a pointer of Git LFS, not the weights; run git lfs pull in its repository, or "
            "download the file itself"
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise UserError(
            f"--weights: {path} is a web page, not the weights; download it again with the address of the file "
            "itself (on a model hub: resolve in place of blob)"
        )
    if path.suffix == ".safetensors" and start.startswith(b"PK\x03\x04"):  # torch.load goes by the name
        raise UserError(f"--weights: {path} is a torch file by its first bytes; rename it to {path.stem}.pt")


def _starts_safetensors(start: bytes, size: int) -> bool:
    """Return True where a file of `size` bytes starts as safetensors files do: length of the header, then JSON."""
    return len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8


def _unwrapped(path: Path, state: Any, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors by name, out of the wrappers of training programs and without their prefixes.

    A wrapper is opened only where what it holds is a state dict, a prefix removed only where all names bear it.
    """
    while isinstance(state, dict) and not _is_state(state):
        inside = next((state[key] for key in _WRAPPERS if isinstance(state.get(key), dict)), None)
        if inside is None:
            break
        state = inside
    if not _is_state(state):
        raise UserError(f"--weights: {path} is not a state dict; expected tensors by name")
    while (prefix := _shared_prefix(state)) and prefix != _shared_prefix(expected):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return dict(state)


def _shared_prefix(names: Iterable[str]) -> str | None:
    """Return the prefix of training programs that all names bear, None where there is none."""
    every = list(names)
    return next((prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in every)), None)


def _is_state(state: Any) -> bool:
    """Return True for a dictionary of nothing but tensors by name."""
    return (
        isinstance(state, dict)
        and len(state) > 0
        and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items())
    )


def _refuse_compressed(path: Path) -> None:
    """Raise UserError for a torch file that would unpack to more bytes than it holds; torch never writes one."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist() if "/code/" not in part.filename)
    if size > path.stat().st_size:
        raise UserError(
            f"--weights: {path} unpacks to {size} bytes; expected at most its own {path.stat().st_size}. Save the "
            "state dict again with torch.save"
        )


def tensor_digest(module: nn.Module, skip: str | None = None) -> str:
    """Return blake3 over all tensors: name, shape, dtype, bytes. The file format does not matter.

    `skip`: prefix of names to leave out.
    """
    hasher = blake3(max_threads=blake3.AUTO)
    for name, tensor in sorted(module.state_dict().items()):
        if skip is not None and name.startswith(skip):
            continue
        hasher.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        hasher.update(tensor.contiguous().numpy().tobytes())
    return hasher.hexdigest()
