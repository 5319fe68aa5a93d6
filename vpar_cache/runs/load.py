"""From a cache to what a model must know of it, and from a run folder back to its model."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vpar_cache.cache.features import Features
from vpar_cache.cache.format import FRAME_TOKENS
from vpar_cache.errors import CacheError, UserError
from vpar_cache.models.build import build_model
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.models.systems import SYSTEMS
from vpar_cache.runs.folder import MODEL_METADATA
from vpar_cache.training.config import TrainConfig

_MEND = "train the run again"


def model_inputs(model: str, features: Features, train_labels: Tensor) -> ModelInputs:
    """`train_labels`: (n, A). UserError when the cache lacks the array that the model reads."""
    reads = SYSTEMS[model].reads
    if reads not in features.arrays:
        mend = "--keep-frames" if reads == FRAME_TOKENS else "a fixed number of --frames"
        raise UserError(
            f"--model {model} reads /{reads}, which {features.path} does not hold; extract it with {mend} "
            "and another --out, or choose another model"
        )
    return ModelInputs(
        train_labels=train_labels,
        groups=tuple(columns for _, columns in features.schema.slices()),
        row_shape=features.arrays[reads].shape[1:],
        text=torch.from_numpy(features.text),
        negative=torch.from_numpy(features.text_negative),
        grid=features.grid,
        prefix_tokens=features.prefix_tokens,
        logit_scale=_logit_scale(features),
    )


def _logit_scale(features: Features) -> float | None:
    """CLIP's, where the text encoder is the backbone's own."""
    scale = features.text_config.get("logit_scale")
    own = features.text_config.get("encoder") == features.visual_config.get("backbone")
    return float(scale) if own and isinstance(scale, int | float) else None


def load_model(folder: Path, features: Features) -> tuple[TrainConfig, nn.Module]:
    """The model of a finished run, in eval mode on the CPU, for features of the cache that it was trained on.

    Raises CacheError for a file that is no such model, or does not fit the features.
    """
    path = folder / "model.safetensors"
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {})[MODEL_METADATA])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        known = {field.name for field in fields(TrainConfig)}
        settings = {key: value for key, value in metadata["settings"].items() if key in known}
        config = TrainConfig(features=features.path, **settings)
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror or error}; {_MEND}") from error
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CacheError(f"{path} is no model of a run ({str(error)[:100]}); {_MEND}") from error
    outputs = [output.name for output in features.schema.outputs]
    if metadata.get("outputs") != outputs:
        raise CacheError(f"{path} has other outputs than {features.path}; give the cache that it was trained on")
    labels = torch.from_numpy(features.labels[np.flatnonzero(features.splits == "train")])  # (n, A)
    model = build_model(config, model_inputs(config.model, features, labels))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).partition("\n")[2].strip()[:200]
        raise CacheError(f"{path} does not fit {features.path} ({reason}); give the cache of the run") from error
    return config, model.eval().requires_grad_(False)
