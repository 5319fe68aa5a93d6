"""From a model's name to a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from vpar_cache.models.cnn3d import Cnn3d
from vpar_cache.models.cnn_rnn import CnnRnn
from vpar_cache.models.fusion import FusionTransformer
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.models.linear import LinearHeads
from vpar_cache.models.prior import Prior
from vpar_cache.models.settings import ModelSettings
from vpar_cache.models.videopar import VideoPar, VideoParImage
from vpar_cache.models.vtb import Vtb
from vpar_cache.models.zero_shot import ZeroShot


def build_model(
    settings: ModelSettings, inputs: ModelInputs, block_state: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """Build a fresh model that maps rows (B, *row_shape) and text (A, Dt) to logits (B, A).

    `block_state`: the last block of an ImageNet ViT-B/16 to start from. UserError where the features lack what the
    model needs.
    """

    def fusion(kind: type[FusionTransformer]) -> nn.Module:
        model = kind(
            inputs.num_outputs,
            inputs.token_dim,
            inputs.text_dim,
            dim=settings.dim,
            layers=settings.layers,
            heads=settings.heads,
            logit_norm=settings.logit_norm,
        )
        if block_state is not None:
            model.load_last_block(block_state)
        return model

    builders: dict[str, Callable[[], nn.Module]] = {
        "vtf": lambda: fusion(FusionTransformer),
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
