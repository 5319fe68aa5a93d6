"""Plain settings of models. Imports no torch, so that settings are checked before torch is imported."""

from __future__ import annotations

from dataclasses import dataclass

LOSSES = ("bce", "weighted", "ce")
"""See models/objective.py."""
PARTS = ("fixed", "learned")
"""See models/parts.py."""
MAX_DIM, MAX_LAYERS, MAX_HEADS = 8192, 1000, 8192
MOST_PARAMETERS = 2_000_000_000
"""Of the fusion blocks, see block_parameters. With its gradient and Adam's state each takes 16 bytes."""


def block_parameters(dim: int, layers: int) -> int:
    """Return about how many parameters the fusion blocks have."""
    return 12 * layers * dim**2


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What decides the shape of a model."""

    model: str = "vtf"
    """One of systems.SYSTEMS (vtf is the paper's), or custom for a model of the caller."""
    dim: int = 512
    """Width of the model."""
    layers: int = 1
    """Fusion models: fusion blocks."""
    heads: int = 8
    """Fusion models: attention heads per block."""
    logit_norm: bool = False
    """Fusion models: BatchNorm over the logits, as in the authors' code."""
    drop_path: float = 0.0
    """Fusion models: how likely a tracklet skips a residual branch of a block in training (stochastic depth)."""
    norm_eps: float = 1e-5
    """Fusion models: epsilon of the LayerNorms. torch's default; 1e-6 in ViT, so with block_init."""
    parts: str | None = None
    """Fusion models: each attribute reads the grid of tokens through a prior over its rows: fixed or learned."""
    tune_text: bool = False
    """Fusion models: learn an offset on the text embeddings."""
