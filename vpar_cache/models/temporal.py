"""`vtf-temporal`: the paper's model with attention over the frames of a tracklet before the fusion.

The paper averages the tokens of all frames, which loses their order. Here each place of the grid attends over its
own tokens of the T frames, as in the divided attention of TimeSformer (Bertasius et al., "Is Space-Time Attention
All You Need for Video Understanding?", ICML 2021). The last layer starts at zero: at first the model is `vtf`.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vpar_cache.models.fusion import FusionTransformer


class FrameMixer(nn.Module):
    """Frame tokens (B, T, N, D) -> visual tokens (B, N, D): their mean, plus what attention over frames adds."""

    def __init__(self, frames: int, token_dim: int) -> None:
        super().__init__()
        width = max(8, token_dim // 8)  # narrow: there are T times as many tokens as in the fusion
        self.norm = nn.LayerNorm(token_dim)
        self.position = nn.Parameter(torch.randn(frames, token_dim))  # (T, D): as large as a normed token
        self.qkv = nn.Linear(token_dim, 3 * width)
        self.out = nn.Linear(width, token_dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, frames: Tensor) -> Tensor:
        placed = self.norm(frames) + self.position[:, None]  # (B, T, N, D)
        query, key, value = self.qkv(placed).transpose(1, 2).chunk(3, dim=-1)  # each (B, N, T, width)
        mixed = F.scaled_dot_product_attention(query, key, value)  # (B, N, T, width)
        added: Tensor = self.out(mixed.mean(dim=2))  # (B, N, D); the mean of the residual sums over frames
        return frames.mean(dim=1) + added  # (B, N, D)


class TemporalFusion(FusionTransformer):
    """`vtf-temporal`: frame tokens (B, T, N, D) and text embeddings (A, Dt) -> logits (B, A)."""

    def __init__(self, num_outputs: int, token_dim: int, text_dim: int, *, frames: int, **options: Any) -> None:
        super().__init__(num_outputs, token_dim, text_dim, **options)
        self.mixer = FrameMixer(frames, token_dim)

    def embed(self, visual: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        return super().embed(self.mixer(visual), text)  # (1, A, W), (B, N, W)
