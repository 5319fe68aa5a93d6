"""Encoders on the CPU with seeded random weights."""

from __future__ import annotations

from typing import Any

import torch

from vpar_cache.backbones.encoder import Encoder


def make_encoder(backbone: str, weights: str | None = "random:0", **changes: Any) -> Encoder:
    """Build an encoder in fp32, offline; any of its settings can be replaced."""
    settings: dict[str, Any] = {
        "device": torch.device("cpu"),
        "precision": "fp32",
        "normalize": "own",
        "offline": True,
    }
    return Encoder(backbone, weights, **{**settings, **changes})
