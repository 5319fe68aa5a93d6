"""From a model's name to a module."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from vpar_cache.models.fusion import FusionTransformer
from vpar_cache.models.linear import LinearHeads
from vpar_cache.models.prior import Prior
from vpar_cache.train_config import TrainConfig


def build_model(config: TrainConfig, token_dim: int, train_labels: Tensor) -> nn.Module:
    """A fresh model that maps tokens (B, N, D) and text (A, D) to logits (B, A).

    `train_labels`: (n, A); how many outputs there are, and all that `prior` learns from.
    """
    num_outputs = train_labels.shape[1]
    builders: dict[str, Callable[[], nn.Module]] = {
        "vtf": lambda: FusionTransformer(
            num_outputs,
            token_dim,
            dim=config.dim,
            layers=config.layers,
            heads=config.heads,
            logit_norm=config.logit_norm,
        ),
        "linear": lambda: LinearHeads(num_outputs, token_dim),
        "prior": lambda: Prior(train_labels),
    }
    return builders[config.model]()
