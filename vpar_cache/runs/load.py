"""From a finished run folder back to its model, without the cache that it was trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vpar_cache.attributes.schema import Schema
from vpar_cache.errors import CacheError, VparError
from vpar_cache.models.build import build_model
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.models.settings import ModelSettings
from vpar_cache.runs.folder import INPUT_PREFIX, MODEL_METADATA, MODEL_PREFIX

_FIX = "train the run again"


@dataclass(frozen=True, eq=False)
class SavedModel:
    """The model of a run, in eval mode on the CPU, and what it needs besides rows."""

    model: nn.Module
    """Maps rows (B, *row_shape) and text (A, Dt) to logits (B, A)."""
    inputs: ModelInputs
    """As it was built from; `inputs.text` is the text to give."""
    schema: Schema
    settings: dict[str, Any]
    """All settings of the training."""


def load_model(folder: Path) -> SavedModel:
    """Load the model of a finished run. Raises CacheError for a missing, damaged or foreign file."""
    path = folder / "model.safetensors"
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {})[MODEL_METADATA])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        schema = Schema.from_dict(metadata["schema"])
        known = {field.name for field in fields(ModelSettings)}
        settings = ModelSettings(**{key: value for key, value in metadata["settings"].items() if key in known})
        inputs = _inputs(metadata["inputs"], _part(tensors, INPUT_PREFIX), schema)
        model = build_model(settings, inputs)
        model.load_state_dict(_part(tensors, MODEL_PREFIX))
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror or error}; {_FIX}") from error
    except (
        SafetensorError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        RuntimeError,
    ) as error:
        raise CacheError(f"{path} is not the model of a run ({str(error)[:200]}); {_FIX}") from error
    except VparError as error:
        raise CacheError(f"{path}: {error}; {_FIX}") from error
    return SavedModel(model.eval().requires_grad_(False), inputs, schema, metadata["settings"])


def _inputs(record: dict[str, Any], tensors: dict[str, Tensor], schema: Schema) -> ModelInputs:
    rates, text = tensors["train_rates"], tensors["text"]  # (A,), (A, Dt)
    if rates.shape != (schema.num_outputs,) or len(text) != schema.num_outputs:
        raise ValueError(f"{len(rates)} outputs, but its schema has {schema.num_outputs}")
    scale = record["logit_scale"]
    return ModelInputs(
        train_rates=rates.to(torch.float64),
        groups=tuple(columns for _, columns in schema.slices()),
        row_shape=tuple(map(int, record["row_shape"])),
        text=text,
        negative=tensors["negative"],
        grid=(int(record["grid"][0]), int(record["grid"][1])),
        prefix_tokens=int(record["prefix_tokens"]),
        logit_scale=None if scale is None else float(scale),
    )


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
