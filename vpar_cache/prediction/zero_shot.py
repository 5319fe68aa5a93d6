"""Predict without a trained run: CLIP's similarity of pictures and phrases (Radford et al., 2021, section 3.1)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vpar_cache.attributes.prompts import build_negative_prompts, build_prompts
from vpar_cache.attributes.schema import Schema
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.base.callbacks import Say, log
from vpar_cache.base.devices import resolve_device
from vpar_cache.datasets.decoding import preprocessing_identity
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.models.zero_shot import ZeroShot
from vpar_cache.prediction.encoding import DEFAULT_FRAMES, FrameEncoder
from vpar_cache.prediction.predictor import EncoderOptions, Predictor
from vpar_cache.runs.load import LoadedRun

DEFAULT_BACKBONE = "open_clip:ViT-B-16-quickgelu"
MARK = "untrained: CLIP's similarity of pictures and phrases"


def zero_shot_thresholds(schema: Schema) -> NDArray[np.float64]:
    """Return a threshold for each output (A,), which no label has chosen.

    One output: 0.5, where its phrase is as similar as the opposite one. A choice of n: twice an even guess, 2 / n,
    but at most 0.5, so that a value which hardly differs from the others is unknown.
    """
    sizes = [len(group.outputs) for group in schema.groups for _ in group.outputs]
    return np.array([0.5 if n == 1 else min(0.5, 2 / n) for n in sizes])  # (A,)


def zero_shot(
    schema: Schema,
    options: EncoderOptions | None = None,
    *,
    backbone: str = DEFAULT_BACKBONE,
    prompts: str = "paper",
    say: Say = log,
) -> Predictor:
    """Return a predictor for the phrases of a schema. Its answers are marked as untrained.

    `prompts`: as in ExtractConfig. Raises UserError for a backbone whose text and pictures share no space.
    """
    options = options or EncoderOptions()
    encoder = Encoder(
        backbone,
        options.weights,
        device=resolve_device(options.device),
        precision=options.precision or "auto",
        normalize="own",
        offline=options.offline,
        text="auto",
    )
    text, negative = encoder.encode_prompts(
        build_prompts(schema, prompts), build_negative_prompts(schema, prompts)
    )
    identity = encoder.visual_identity()
    scale = encoder.text_identity()["logit_scale"]
    own = encoder.text_identity()["encoder"] == encoder.backbone
    inputs = ModelInputs(
        train_rates=torch.full((schema.num_outputs,), 0.5, dtype=torch.float64),  # (A,)
        groups=tuple(columns for _, columns in schema.slices()),
        group_names=tuple(group.name for group in schema.groups),
        row_shape=(encoder.num_tokens, encoder.dim),
        text=torch.from_numpy(text),  # (A, Dt)
        negative=torch.from_numpy(negative),  # (A, Dt)
        grid=(int(identity["grid"][0]), int(identity["grid"][1])),
        prefix_tokens=int(identity["prefix_tokens"]),
        logit_scale=float(scale) if own and scale is not None else None,
    )
    settings = {
        **identity,
        **preprocessing_identity(),
        "backbone": encoder.backbone,
        "weights": encoder.weights_name,
        "normalize": "own",
        "resize": "pad",
        "frames": DEFAULT_FRAMES,
        "sampling": "uniform",
        "short_tracklet": "repeat",
        "seed": None,
        "views": 0,
        "keep_frames": False,
        "stored_dtype": "float16",
    }
    run = LoadedRun(
        ZeroShot(inputs).eval(),
        inputs,
        schema,
        {"model": "zero-shot", "loss": "ce"},
        "visual",
        zero_shot_thresholds(schema),
        encoder.weights_name.startswith("random:"),
        settings,
    )
    predictor = Predictor(run, options, say, FrameEncoder(encoder, settings, "visual", options.batch_size))
    predictor.mark = "; ".join(filter(None, (MARK, predictor.mark)))
    return predictor
