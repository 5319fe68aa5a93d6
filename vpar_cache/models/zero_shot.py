"""CLIP without training: a tracklet is compared with phrases (Radford et al., 2021, section 3.1).

A group of one output compares its phrase with the opposite one ("a hat" with "no hat"). A group of several
outputs compares its phrases with each other. The similarity is the cosine of the text embedding and the
projected class token, averaged over frames, times CLIP's logit scale; a softmax over the compared
phrases gives probabilities.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vpar_cache.errors import UserError
from vpar_cache.models.inputs import ModelInputs


class ZeroShot(nn.Module):
    """`zero-shot`: visual tokens (B, N, D) -> logits (B, A), for Objective("ce"). Nothing is trained."""

    def __init__(self, inputs: ModelInputs) -> None:
        """Raises UserError for features whose text and image embeddings share no space."""
        super().__init__()
        if inputs.logit_scale is None or inputs.text_dim != inputs.token_dim or inputs.prefix_tokens < 1:
            raise UserError(
                "--model zero-shot needs text and image features of one CLIP model; extract them with "
                "--backbone open_clip:ViT-B-16-quickgelu"
            )
        choice = inputs.negative.abs().sum(dim=1, keepdim=True) == 0  # (A, 1): output of a group of several
        negative = torch.where(choice, 0.0, F.normalize(inputs.negative, dim=1))  # (A, D)
        direction = inputs.logit_scale * (F.normalize(inputs.text, dim=1) - negative)  # (A, D)
        self.register_buffer("direction", direction)  # (A, D)
        self.direction: Tensor

    def forward(self, visual: Tensor, text: Tensor) -> Tensor:
        image = F.normalize(visual[:, 0], dim=1)  # (B, D)
        return image @ self.direction.T  # (B, A): its sigmoid is the softmax over both phrases
