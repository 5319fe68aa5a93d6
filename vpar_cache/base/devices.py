"""From the name of a device on the command line to a torch device of this machine."""

from __future__ import annotations

import os
import re
import warnings
from typing import TYPE_CHECKING

from vpar_cache.errors import UserError, count_of

if TYPE_CHECKING:
    import torch

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_GPU = re.compile(r"cuda(?::(\d{1,3}))?")
_NAMES = "expected auto, cpu, cuda, cuda:N or mps"
_HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""Environment variables that hide GPUs from a process, and number those that they leave from 0."""


def check_device_name(name: str) -> None:
    """Raise UserError for a name that no machine has. Needs no torch."""
    if name not in ("auto", "cpu", "mps") and _GPU.fullmatch(name) is None:
        raise UserError(f"--device: got {name[:80]!r}; {_NAMES}. Use --device cpu, or --device cuda:0 for a GPU")


def resolve_device(name: str) -> torch.device:
    """Return the device of `auto` (the first GPU, else the CPU), `cpu`, `cuda` (the first GPU), `cuda:N` or `mps`.

    UserError where this machine has no such device.
    """
    import torch

    check_device_name(name)
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise UserError("--device mps is missing: torch finds no GPU of Apple here; use --device cpu")
        return torch.device("mps")
    count = _count_gpus()
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    match = _GPU.fullmatch(name)
    number = int(match[1] or 0) if match is not None else 0
    if number < count:
        return torch.device("cuda", number)
    if not count:
        raise UserError(f"--device {name} is missing: {_why_no_gpu()}; use --device cpu")
    hiding = _hiding()
    shown = f", since {hiding} shows only those, numbered from 0" if hiding else ""
    last = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
    raise UserError(f"--device {name} is missing: torch sees {count_of(count, 'GPU')}{shown}; use {last}, or cpu")


def explain_device(name: str) -> str:
    """Return one line that says which device `name` resolves to, and for auto why: `device: cpu (...)`."""
    import torch

    device = resolve_device(name)
    if device.type == "cuda":
        count = _count_gpus()
        among = f", the first of {count}: others with --device cuda:N" if name == "auto" and count > 1 else ""
        return f"device: {device} ({torch.cuda.get_device_name(device)}{among})"
    if name != "auto":
        return f"device: {device}"
    apple = "; --device mps uses the GPU of this Mac" if torch.backends.mps.is_available() else ""
    return f"device: cpu (auto: {_why_no_gpu()}{apple})"


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the precision that auto resolves to: bf16 where the device computes it natively, else fp32.

    Emulated bf16 is slower than fp32.
    """
    import torch

    if device.type == "cpu":
        if precision == "fp16":
            raise UserError("--precision fp16 needs a GPU; use bf16 or fp32 on a CPU")
        capabilities = torch.cpu.get_capabilities()
        native = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    else:
        native = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if precision == "auto":
        return "bf16" if native else "fp32"
    return precision


def _count_gpus() -> int:
    """Return how many GPUs torch can use. Its warning about a driver is left to `_why_no_gpu`."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _why_no_gpu() -> str:
    """Return why torch sees no GPU: how it was built, an environment variable, or what the driver says."""
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} was built without CUDA"
    hiding = _hiding()
    shown = f", with {hiding}" if hiding else ""
    try:
        torch.cuda.init()
    except RuntimeError as error:  # its first sentence: no driver, one that is too old, or every GPU is hidden
        reason = str(error).strip().splitlines()[0].partition(". ")[0][:200]
        return f"torch sees no GPU{shown}: {reason}"
    return f"torch sees no GPU{shown}"


def _hiding() -> str:
    """Return NAME=VALUE of the environment variable that hides GPUs, empty where none is set."""
    return next((f"{name}={os.environ[name]!r}" for name in _HIDING if name in os.environ), "")
