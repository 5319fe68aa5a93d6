"""What the encoder computes of one frame, as a torch module: for exporters, which read modules."""

from __future__ import annotations

from torch import Tensor, nn

from vpar_cache.backbones.base import Backbone


class FrameModule(nn.Module):
    """Pixels (F, 3, S, S), uint8 in RGB -> tokens (F, N, D) and embeddings (F, D) of each frame.

    Both are projected, float32, and not yet rounded to float16 as rows of a cache are.
    """

    def __init__(self, network: Backbone, mean: Tensor, std: Tensor) -> None:
        """`network`: in fp32. `mean`, `std`: (1, 3, 1, 1) of pixels from 0 to 255."""
        super().__init__()
        self.network = network.module  # registers its tensors
        self._backbone = network
        self.register_buffer("mean", mean)  # (1, 3, 1, 1)
        self.register_buffer("std", std)  # (1, 3, 1, 1)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        images = (pixels.float() - self.mean) / self.std  # (F, 3, S, S)
        tokens = self._backbone.tokens(images)  # (F, N, width)
        project = self._backbone.project
        return project(tokens), project(self._backbone.summary(tokens))  # (F, N, D), (F, D)
