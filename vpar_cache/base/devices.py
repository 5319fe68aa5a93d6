"""From the name of a device on the command line to a torch device of this machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vpar_cache.errors import UserError

if TYPE_CHECKING:
    import torch

_GPU = re.compile(r"cuda:(\d{1,3})")


def check_device_name(name: str) -> None:
    """Raise UserError for a name that no machine has. Needs no torch."""
    if name not in ("auto", "cpu") and _GPU.fullmatch(name) is None:
        raise UserError(f"--device: got {name[:80]!r}; expected auto, cpu or cuda:N. Use --device cpu, or --gpu 0")


def resolve_device(name: str) -> torch.device:
    """Return the device of `auto` (the first GPU, else the CPU), `cpu` or `cuda:N`.

    UserError where this machine has no such device.
    """
    import torch

    check_device_name(name)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    match = _GPU.fullmatch(name)
    if match is None:
        return torch.device("cpu")
    if int(match[1]) >= count:
        raise UserError(f"GPU {match[1]} is missing: torch sees {count} GPUs; use --device cpu, or another --gpu")
    return torch.device(name)


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
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    if precision == "auto":
        return "bf16" if native else "fp32"
    return precision
