"""From a device's name on the command line to a torch device that is really there."""

from __future__ import annotations

import re

import torch

from vpar_cache.errors import UserError


def resolve_device(name: str) -> torch.device:
    """`auto` (the first GPU, else the CPU), `cpu`, or `cuda:N`. UserError when this machine has no such device."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    match = re.fullmatch(r"cuda:(\d{1,3})", name)
    if match is None:
        raise UserError(f"device {name[:80]!r} is unknown; use --device cpu, or --gpu 0")
    if int(match[1]) >= count:
        raise UserError(f"GPU {match[1]} is not here: torch sees {count} GPUs; use --device cpu, or another --gpu")
    return torch.device(name)
