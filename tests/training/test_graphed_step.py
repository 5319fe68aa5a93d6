"""A captured step trains as the same step run operation by operation. Needs a GPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vpar_cache.models.fusion import FusionBlock
from vpar_cache.training.graphed_step import GraphedStep, Step

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="a CUDA graph needs a GPU")


def trained(wrap: Callable[[Step], Step]) -> list[float]:
    """Return the losses of 20 steps; each tenth batch is a short one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 3)).cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, fused=True, capturable=True)

    def step(rows: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(rows.float())  # (B, 3)
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), labels, known.float())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    run, data = wrap(step), torch.Generator().manual_seed(1)
    losses = []
    for number in range(1, 21):
        size = 5 if number % 10 == 0 else 16
        rows = torch.randn(size, 8, generator=data).half().cuda()  # (B, 8)
        losses.append(float(run(rows, (rows[:, :3] > 0).float(), rows[:, 3:6] > -1)))
    return losses


def test_a_captured_step_trains_as_the_plain_one() -> None:
    plain, graphed = trained(lambda step: step), trained(GraphedStep)
    assert graphed == pytest.approx(plain, rel=1e-3)
    assert graphed[-2] < 0.9 * graphed[0]


def test_stochastic_depth_draws_anew_at_every_replay() -> None:
    torch.manual_seed(0)
    block = FusionBlock(8, 2, drop_path=0.5).cuda().train()

    def step(rows: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        text, _ = block(rows[:1].float(), rows.float(), read_text_only=True)  # (16, 4, 8)
        return text.detach().abs().sum()  # of squares the last LayerNorm makes one sum always

    run, rows = GraphedStep(step), torch.randn(16, 4, 8).half().cuda()  # (16, 4, 8)
    losses = {float(run(rows, rows[:, 0].float(), rows[:, 0] > 0)) for _ in range(10)}
    assert len(losses) > 5
