"""Build a model: one of ours by its name, or the caller's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from vpar_cache.errors import UserError
from vpar_cache.models.cnn3d import Cnn3d
from vpar_cache.models.cnn_rnn import CnnRnn
from vpar_cache.models.fusion import FusionTransformer
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.models.linear import LinearHeads
from vpar_cache.models.parts import PartBias
from vpar_cache.models.prior import Prior
from vpar_cache.models.settings import ModelSettings
from vpar_cache.models.temporal import TemporalFusion
from vpar_cache.models.videopar import VideoPar, VideoParImage
from vpar_cache.models.vtb import Vtb
from vpar_cache.models.zero_shot import ZeroShot

ModelBuilder = Callable[[ModelInputs], nn.Module]
"""Builds a model whose forward(rows (B, *row_shape), text (A, Dt)) returns logits (B, A)."""


@dataclass(frozen=True)
class OwnModel:
    """The caller's own model."""

    build: ModelBuilder
    reads: str
    """The array of the cache that it reads."""
    name: str
    """The function's qualified name, for the record."""


def build_model(
    settings: ModelSettings, inputs: ModelInputs, block_state: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """Return a new model that maps rows (B, *row_shape) and text (A, Dt) to logits (B, A).

    `block_state`: the last block of an ImageNet ViT-B/16 to start from. Raises UserError where the features lack
    what the model needs.
    """

    def fusion(kind: type[FusionTransformer], **more: Any) -> nn.Module:
        model = kind(
            inputs.num_outputs,
            inputs.token_dim,
            inputs.text_dim,
            dim=settings.dim,
            layers=settings.layers,
            heads=settings.heads,
            logit_norm=settings.logit_norm,
            drop_path=settings.drop_path,
            norm_eps=settings.norm_eps,
            tune_text=settings.tune_text,
            part_bias=None if settings.parts is None else PartBias(settings.parts, inputs),
            **more,
        )
        if block_state is not None:
            model.load_last_block(block_state)
        return model

    builders: dict[str, Callable[[], nn.Module]] = {
        "vtf": lambda: fusion(FusionTransformer),
        "vtf-temporal": lambda: fusion(TemporalFusion, frames=inputs.row_shape[0]),
        "linear": lambda: LinearHeads(inputs.num_outputs, inputs.token_dim),
        "vtb": lambda: fusion(Vtb),
        "videopar-image": lambda: VideoParImage(inputs.num_outputs, inputs.token_dim, settings.dim),
        "videopar": lambda: VideoPar(inputs.groups, inputs.token_dim, settings.dim),
        "cnn-rnn": lambda: CnnRnn(inputs.num_outputs, inputs.token_dim, settings.dim),
        "3dcnn": lambda: Cnn3d(inputs, settings.dim),
        "zero-shot": lambda: ZeroShot(inputs),
        "prior": lambda: Prior(inputs.train_rates),
    }
    return builders[settings.model]()


def build_own_model(build: ModelBuilder, inputs: ModelInputs) -> nn.Module:
    """Return the model that the caller's function builds. Raises UserError where it returns something else."""
    model = build(inputs)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"model: got a {type(model).__name__}; expected a torch.nn.Module. Give a function that takes "
            "ModelInputs and returns a module whose forward(rows, text) returns logits"
        )
    return model
