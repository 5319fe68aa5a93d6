"""3DCNN: 3D convolutions over the cached tokens of each frame.

Difference from the original, a 3D ResNet on pixels (as the VideoPAR authors compare it, PRCV 2019): here the
backbone is frozen and 3D convolutions read its grid of tokens. So this is not the paper's row on any backbone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vpar_cache.models.inputs import ModelInputs


class Cnn3d(nn.Module):
    """`3dcnn`: frame tokens (B, T, N, D) -> logits (B, A)."""

    def __init__(self, inputs: ModelInputs, dim: int) -> None:
        super().__init__()
        self._prefix, self._grid = inputs.prefix_tokens, inputs.grid
        channels = max(8, dim // 4)  # few: a 3x3x3 convolution has 27 times the weights of a linear layer
        self.norm = nn.LayerNorm(inputs.token_dim)
        self.reduce = nn.Linear(inputs.token_dim, channels)  # a 1x1x1 convolution
        self.body = nn.Sequential(_block(channels), nn.MaxPool3d((1, 2, 2), ceil_mode=True), _block(channels))
        self.heads = nn.Linear(channels, inputs.num_outputs)

    def forward(self, frames: Tensor, text: Tensor) -> Tensor:
        patches = self.reduce(self.norm(frames[:, :, self._prefix :]))  # (B, T, rows * columns, C)
        volume = patches.unflatten(2, self._grid).permute(0, 4, 1, 2, 3)  # (B, C, T, rows, columns)
        # torch 2.15 on a CPU gives gradients that are not finite for 3D convolutions in bf16.
        with torch.autocast(volume.device.type, enabled=False):
            pooled = self.body(volume.float()).mean(dim=(2, 3, 4))  # (B, C)
        logits: Tensor = self.heads(pooled)  # (B, A)
        return logits


def _block(channels: int) -> nn.Sequential:
    """Return convolution 3x3x3, BatchNorm and ReLU, which keep the shape (B, C, T, rows, columns)."""
    return nn.Sequential(
        nn.Conv3d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm3d(channels), nn.ReLU()
    )
