"""Attention over frames: it begins as the mean, and learns the order of frames, which a mean cannot hold."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.models.test_systems_forward import A, D, N, T, inputs
from vpar_cache.models.build import build_model
from vpar_cache.models.settings import ModelSettings
from vpar_cache.models.temporal import FrameMixer


def build(model: str, reads: str) -> nn.Module:
    torch.manual_seed(0)
    return build_model(ModelSettings(model=model, dim=16, heads=2), inputs(reads))


def test_at_the_start_it_is_vtf_on_the_mean_over_frames() -> None:
    frames, text = torch.randn(3, T, N, D), inputs().text
    logits = build("vtf-temporal", "frame_tokens")(frames, text)
    torch.testing.assert_close(logits, build("vtf", "visual")(frames.mean(dim=1), text))


def test_each_place_attends_over_its_own_frames_written_out() -> None:
    torch.manual_seed(1)
    mixer = FrameMixer(T, D)
    nn.init.normal_(mixer.out.weight)
    frames = torch.randn(2, T, N, D)
    attention = nn.MultiheadAttention(8, 1, batch_first=True)
    attention.in_proj_weight.data, attention.in_proj_bias.data = torch.eye(8).repeat(3, 1), torch.zeros(24)
    attention.out_proj.weight.data, attention.out_proj.bias.data = torch.eye(8), torch.zeros(8)
    for place in range(N):
        placed = mixer.norm(frames[:, :, place]) + mixer.position  # (B, T, D)
        mixed, _ = attention(*mixer.qkv(placed).split(8, dim=2))  # (B, T, 8)
        expected = (frames[:, :, place] + mixer.out(mixed)).mean(dim=1)  # (B, D)
        torch.testing.assert_close(mixer(frames)[:, place], expected, rtol=1e-4, atol=1e-5)


def in_order_or_reversed(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Frames (n, T, N, D) that move along a line, and labels (n,): forwards or backwards. The means are equal."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (n,), generator=random)
    line = torch.linspace(-1, 1, T)[:, None, None] * torch.ones(N, D // 2).repeat(1, 2)  # (T, N, D)
    line[..., : D // 2] *= -1
    direction = 2.0 * labels[:, None, None, None] - 1
    return direction * line + 0.3 * torch.randn(n, T, N, D, generator=random), labels.float()


def accuracy_after_training(model: str, reads: str) -> float:
    made, text = build(model, reads), inputs().text

    def rows(frames: Tensor) -> Tensor:
        return frames if reads == "frame_tokens" else frames.mean(dim=1)

    optimizer = torch.optim.Adam(made.parameters(), lr=3e-3)
    frames, labels = in_order_or_reversed(64, seed=2)
    for _ in range(40):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(made(rows(frames), text)[:, 0], labels).backward()
        optimizer.step()
    frames, labels = in_order_or_reversed(256, seed=3)
    with torch.no_grad():
        return float(((made(rows(frames), text)[:, 0] > 0) == (labels > 0)).float().mean())


def test_it_tells_frames_in_order_from_frames_reversed_and_a_mean_does_not() -> None:
    assert accuracy_after_training("vtf-temporal", "frame_tokens") > 0.95
    assert accuracy_after_training("vtf", "visual") < 0.65


def test_each_output_has_a_logit() -> None:
    assert build("vtf-temporal", "frame_tokens")(torch.randn(2, T, N, D), inputs().text).shape == (2, A)
