"""CNN-RNN, the recurrent row of the paper's tables, as the VideoPAR authors compare it (PRCV 2019): an LSTM over
frame features, pooled by attention.

Difference from the original: the convolutional backbone is frozen; the attention is one for all attributes.
"""

from __future__ import annotations

from torch import Tensor, nn

from vpar_cache.models.videopar import FrameProjection


class CnnRnn(nn.Module):
    """`cnn-rnn`: frame embeddings (B, T, D) -> logits (B, A)."""

    def __init__(self, num_outputs: int, token_dim: int, dim: int) -> None:
        super().__init__()
        self.project = FrameProjection(token_dim, dim)
        self.recurrent = nn.LSTM(dim, dim, batch_first=True)
        self.attention = nn.Linear(dim, 1)
        self.heads = nn.Linear(dim, num_outputs)

    def forward(self, frames: Tensor, text: Tensor) -> Tensor:
        states, _ = self.recurrent(self.project(frames))  # (B, T, W)
        weights = self.attention(states).softmax(dim=1)  # (B, T, 1)
        logits: Tensor = self.heads((weights * states).sum(dim=1))  # (B, A)
        return logits
