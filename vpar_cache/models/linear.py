"""The paper's ablation without the fusion Transformer: fully connected layers on the frozen tokens.

Difference from the original: the paper does not say what the layers read; here it is the mean over all
tokens. Text embeddings are the same for every tracklet: a layer that also read them would only gain a bias.
"""

from __future__ import annotations

from torch import Tensor, nn


class LinearHeads(nn.Module):
    """`linear`: visual tokens (B, N, D) -> logits (B, A)."""

    def __init__(self, num_outputs: int, token_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(token_dim)
        self.heads = nn.Linear(token_dim, num_outputs)

    def forward(self, visual: Tensor, text: Tensor) -> Tensor:
        pooled = self.norm(visual.mean(dim=1))  # (B, D)
        logits: Tensor = self.heads(pooled)  # (B, A)
        return logits
