"""What a model must know about the features, taken from an open cache."""

from __future__ import annotations

import torch
from torch import Tensor

from vpar_cache.cache.features import Features
from vpar_cache.cache.format import FRAME_TOKENS
from vpar_cache.errors import UserError
from vpar_cache.models.inputs import ModelInputs


def model_inputs(model: str, reads: str, features: Features, train_labels: Tensor) -> ModelInputs:
    """Return the inputs of a model that reads the array `reads`; `train_labels`: (n, A) of 0 and 1.

    Raises UserError where the cache does not hold that array.
    """
    if reads not in features.arrays:
        fix = "--keep-frames" if reads == FRAME_TOKENS else "a fixed number of --frames"
        raise UserError(
            f"--model {model} reads /{reads}, but {features.path} holds {', '.join(features.arrays)}; extract it "
            f"with {fix} and another --out, or choose another model"
        )
    return ModelInputs(
        train_rates=train_labels.double().mean(dim=0),  # (A,)
        groups=tuple(columns for _, columns in features.schema.slices()),
        row_shape=features.arrays[reads].shape[1:],
        text=torch.from_numpy(features.text),  # (A, Dt)
        negative=torch.from_numpy(features.text_negative),  # (A, Dt)
        grid=features.grid,
        prefix_tokens=features.prefix_tokens,
        logit_scale=_logit_scale(features),
    )


def _logit_scale(features: Features) -> float | None:
    """Return CLIP's, where the text encoder is the backbone's own."""
    scale = features.text_config.get("logit_scale")
    own = features.text_config.get("encoder") == features.visual_config.get("backbone")
    return float(scale) if own and isinstance(scale, int | float) else None
