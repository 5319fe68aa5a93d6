"""What the code of the paper's authors does, written for this comparison from its published settings.

Frames go through CLIP one at a time in fp32, every prompt is encoded again at every step, and the fusion block
computes all its 240 queries. CLIP is frozen here: as published, the graph is built through it, which is slower.
"""

from __future__ import annotations

import open_clip
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

BATCH, WIDTH, HEADS, NUM_OUTPUTS = 16, 768, 12, 43


def load_clip() -> nn.Module:
    """ViT-B/16 with random weights: numbers do not change how long it takes."""
    torch.manual_seed(0)
    model: nn.Module = open_clip.create_model("ViT-B-16-quickgelu", pretrained=None)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def encode_frame_by_frame(clip: nn.Module, frames: Tensor) -> Tensor:
    """(B, T, 3, 224, 224) -> (B, 197, 512): every token projected, then the mean over frames."""
    visual = clip.visual
    tracklets = []
    for tracklet in frames:
        tokens = []
        for frame in tracklet:
            x = visual._embeds(frame[None])  # (1, 197, 768)
            tokens.append(visual.ln_post(visual.transformer(x)) @ visual.proj)  # (1, 197, 512)
        tracklets.append(torch.cat(tokens).mean(dim=0))
    return torch.stack(tracklets)


class Block(nn.Module):
    """A ViT block over all tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)  # (3, B, H, 240, 64)
        mixed = F.scaled_dot_product_attention(*qkv)  # (B, H, 240, 64)
        x = x + self.proj(mixed.transpose(1, 2).flatten(2))  # (B, 240, 768)
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class AuthorsModel(nn.Module):
    """Tokens (B, 197, 512), text (43, 512) -> logits (B, 43)."""

    def __init__(self) -> None:
        super().__init__()
        self.visual_in, self.text_in = nn.Linear(512, WIDTH), nn.Linear(512, WIDTH)
        self.block, self.norm = Block(), nn.LayerNorm(WIDTH)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, 1) for _ in range(NUM_OUTPUTS))
        self.logit_norm = nn.BatchNorm1d(NUM_OUTPUTS)

    def forward(self, visual: Tensor, text: Tensor) -> Tensor:
        words = self.text_in(text).expand(len(visual), -1, -1)  # (B, 43, 768)
        x = self.norm(self.block(torch.cat([words, self.visual_in(visual)], dim=1)))  # (B, 240, 768)
        logits = torch.cat([head(x[:, i]) for i, head in enumerate(self.heads)], dim=1)  # (B, 43)
        normed: Tensor = self.logit_norm(logits)
        return normed


class AuthorsTraining:
    """Their model, loss and optimiser."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = AuthorsModel()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, weight_decay=1e-4)
        self.weights = torch.exp(torch.rand(2, NUM_OUTPUTS))  # of positives and negatives, by train rates

    def step(self, visual: Tensor, text: Tensor, labels: Tensor) -> float:
        """(B, 197, 512), (43, 512), (B, 43)"""
        weights = torch.where(labels > 0, self.weights[0], self.weights[1])  # (B, 43)
        losses = F.binary_cross_entropy_with_logits(self.model(visual, text), labels, weights, reduction="none")
        loss = losses.sum() / len(labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()
