"""VideoPAR and its image variant (Chen, Li and Wang, "Video-Based Pedestrian Attribute Recognition", PRCV 2019).

Difference from the originals: ResNet-50 is frozen, and its feature map is pooled before the 1x1 convolution, not
after it, so that a fully connected layer computes it from the cached embedding of each frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

ATTENTION_WIDTH = 256
"""Channels per group between the two convolutions of the attention."""


class FrameProjection(nn.Sequential):
    """Frame embeddings (B, T, D) -> (B, T, W): LayerNorm, then the 1x1 convolution and ReLU of each frame."""

    def __init__(self, token_dim: int, dim: int) -> None:
        super().__init__(nn.LayerNorm(token_dim), nn.Linear(token_dim, dim), nn.ReLU())


class VideoParImage(nn.Module):
    """`videopar-image`: the middle frame's embedding of (B, T, D) -> logits (B, A)."""

    def __init__(self, num_outputs: int, token_dim: int, dim: int) -> None:
        super().__init__()
        self.project = FrameProjection(token_dim, dim)
        self.heads = nn.Linear(dim, num_outputs)

    def forward(self, frames: Tensor, text: Tensor) -> Tensor:
        middle = frames[:, frames.shape[1] // 2 : frames.shape[1] // 2 + 1]  # (B, 1, D)
        logits: Tensor = self.heads(self.project(middle).squeeze(1))  # (B, A)
        return logits


class VideoPar(nn.Module):
    """`videopar`: frame embeddings (B, T, D) -> logits (B, A), with temporal attention for each of G groups."""

    def __init__(self, groups: Sequence[slice], token_dim: int, dim: int) -> None:
        super().__init__()
        count = len(groups)
        self.project = FrameProjection(token_dim, dim)
        self.attention = nn.Sequential(
            nn.Conv1d(dim, count * ATTENTION_WIDTH, 1),
            nn.ReLU(),
            nn.Conv1d(count * ATTENTION_WIDTH, count, 3, padding=1, groups=count),  # temporal, of width 3
        )
        sizes = torch.tensor([columns.stop - columns.start for columns in groups])  # (G,)
        self.register_buffer("group_of", torch.arange(count).repeat_interleave(sizes), persistent=False)  # (A,)
        self.group_of: Tensor
        self.head_weight = nn.Parameter(torch.empty(int(sizes.sum()), dim))  # (A, W)
        self.head_bias = nn.Parameter(torch.zeros(int(sizes.sum())))  # (A,)
        nn.init.trunc_normal_(self.head_weight, std=0.02)

    def forward(self, frames: Tensor, text: Tensor) -> Tensor:
        projected = self.project(frames)  # (B, T, W)
        weights = self.attention(projected.transpose(1, 2)).softmax(dim=2)  # (B, G, T)
        pooled = weights @ projected  # (B, G, W)
        logits: Tensor = (pooled[:, self.group_of] * self.head_weight).sum(dim=2)  # (B, A)
        return logits + self.head_bias  # (B, A)
