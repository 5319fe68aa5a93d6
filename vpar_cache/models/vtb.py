"""VTB, the row of the paper's tables without CLIP (Cheng et al., "A Simple Visual-Textual Baseline for Pedestrian
Attribute Recognition", 2022): tokens of an ImageNet ViT-B/16 and sentence embeddings of the attribute words.

Difference from the original: the ViT is frozen and its tokens are averaged over frames; the sentence encoder is
all-MiniLM-L6-v2; --loss and --logit-norm choose the loss and the normalisation of the logits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vpar_cache.models.fusion import FusionTransformer


class Vtb(FusionTransformer):
    """`vtb`: the fusion Transformer with a learned embedding of each modality added to its tokens."""

    def __init__(self, num_outputs: int, token_dim: int, text_dim: int, **options: Any) -> None:
        super().__init__(num_outputs, token_dim, text_dim, **options)
        width = self.head_weight.shape[1]
        self.text_type = nn.Parameter(0.02 * torch.randn(width))  # (W,)
        self.visual_type = nn.Parameter(0.02 * torch.randn(width))  # (W,)

    def embed(self, visual: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        text_tokens, visual_tokens = super().embed(visual, text)  # (1, A, W), (B, N, W)
        return text_tokens + self.text_type, visual_tokens + self.visual_type  # (1, A, W), (B, N, W)
