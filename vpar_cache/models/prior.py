"""The constant predictor: each output's frequency among the train labels, for every tracklet.

Read every score beside it: under the paper's protocol it reaches 97 on MARS's "top length".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Prior(nn.Module):
    """`prior`: (B, N, D) -> logits (B, A), the same for every row. Nothing is trained."""

    def __init__(self, train_rates: Tensor) -> None:
        """`train_rates`: (A,) float64, share of train tracklets that have each output."""
        super().__init__()
        self.register_buffer("rate", train_rates.clone())  # (A,)
        self.rate: Tensor

    def forward(self, visual: Tensor, text: Tensor) -> Tensor:
        logits = torch.logit(self.rate, eps=1e-6)  # (A,), finite also for rates of 0 and 1
        return logits.expand(visual.shape[0], -1)  # (B, A)
