"""The learning rate against timm's scheduler, which the authors' code uses."""

from __future__ import annotations

import pytest
import torch

from vpar_cache.training.schedule import lr_factor


@pytest.mark.parametrize("epochs", [6, 20, 60])
def test_warmup_cosine_is_timm_s(epochs: int) -> None:
    from timm.scheduler import CosineLRScheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3.0)
    theirs = CosineLRScheduler(
        optimizer, t_initial=epochs, lr_min=3.0 * 0.002, warmup_t=5, warmup_lr_init=3.0 * 0.01, warmup_prefix=False
    )
    for epoch in range(1, epochs + 1):
        theirs.step(epoch - 1)
        assert 3.0 * lr_factor("warmup-cosine", epoch, epochs) == pytest.approx(optimizer.param_groups[0]["lr"])


def test_constant_is_one() -> None:
    assert [lr_factor("constant", epoch, 3) for epoch in (1, 2, 3)] == [1.0, 1.0, 1.0]
