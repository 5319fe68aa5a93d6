"""How PyTorch computes: what a block changes comes back."""

from __future__ import annotations

import torch

from vpar_cache.base.computing import fp32_without_tf32


def settings() -> tuple[str, bool]:
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def test_blocks_that_overlap_restore_the_settings_of_the_caller() -> None:
    before = settings()
    first, second = fp32_without_tf32(), fp32_without_tf32()
    first.__enter__()
    second.__enter__()  # as on another thread
    first.__exit__(None, None, None)
    assert settings() == ("highest", False)
    second.__exit__(None, None, None)
    assert settings() == before
