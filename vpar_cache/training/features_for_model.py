"""What a model must know about the features, taken from an open cache."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vpar_cache.cache.features import Features
from vpar_cache.cache.format import FRAME_TOKENS, VISUAL
from vpar_cache.errors import UserError
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.models.systems import SYSTEMS


def model_inputs(model: str, reads: str, features: Features, train: NDArray[np.int64]) -> ModelInputs:
    """Return the inputs of a model that reads the array `reads` and trains on the rows `train` (n,).

    Raises UserError where the cache does not hold that array, or lacks text that the model reads.
    """
    if reads not in features.arrays:
        fix = "--keep-frames" if reads == FRAME_TOKENS else "a fixed number of --frames"
        raise UserError(
            f"--model {model} reads /{reads}, which is not in {features.where} ({', '.join(features.arrays)}); "
            f"extract with {fix} and another --out, or choose another model"
        )
    if features.text.shape[1] == 0 and model in SYSTEMS and SYSTEMS[model].reads_text:
        raise UserError(
            f"--model {model} reads text, but none is in {features.where} (--text none); run the same "
            "vpar extract with --text minilm, which encodes no frame again, or choose another model"
        )
    return ModelInputs(
        train_rates=torch.from_numpy(_rates_of_known(features.labels[train], features.known[train])),  # (A,)
        groups=tuple(columns for _, columns in features.schema.slices()),
        group_names=tuple(group.name for group in features.schema.groups),
        row_shape=features.arrays[reads].shape[1:],
        text=torch.from_numpy(features.text),  # (A, Dt)
        negative=torch.from_numpy(features.text_negative),  # (A, Dt)
        grid=features.grid,
        prefix_tokens=features.prefix_tokens,
        logit_scale=_logit_scale(features),
    )


def groups_never_known(features: Features, train: NDArray[np.int64]) -> list[str]:
    """Return the names of groups whose label is known of no row in `train`: nothing can be learned about them."""
    known = features.known[train]  # (n, A)
    return [name for name, columns in features.schema.named_slices() if not known[:, columns].any()]


def num_views(wanted: int | None, reads: str, features: Features) -> int:
    """Return how many of the stored views to use; `wanted` None: all. Raises UserError for more than there are."""
    if wanted is not None and wanted > features.num_views:
        raise UserError(
            f"--views: got {wanted}; expected at most {features.num_views}, the number in "
            f"{features.where}. Extract with --views {wanted} and another --out"
        )
    if reads != VISUAL:
        return 0  # views are stored of the mean tokens alone
    return features.num_views if wanted is None else wanted


def _rates_of_known(labels: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of 1 among the known labels of each output, (A,) of (n, A); 0 where none is known."""
    positives = (labels * known).sum(axis=0, dtype=np.float64)  # (A,)
    rates: NDArray[np.float64] = positives / np.maximum(known.sum(axis=0), 1)  # (A,)
    return rates


def _logit_scale(features: Features) -> float | None:
    """Return CLIP's, where the text encoder is the backbone's own."""
    scale = features.text_config.get("logit_scale")
    own = features.text_config.get("encoder") == features.visual_config.get("backbone")
    return float(scale) if own and isinstance(scale, int | float) else None
