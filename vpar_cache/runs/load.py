"""Load the model of a finished run, without the cache that it was trained on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.files import check_readable, read_failure
from vpar_cache.errors import CacheError, DataError, UserError, VparError
from vpar_cache.models.build import ModelBuilder, build_model, build_own_model
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.models.objective import Objective
from vpar_cache.models.settings import ModelSettings
from vpar_cache.models.systems import CUSTOM
from vpar_cache.runs.folder import INPUT_PREFIX, MODEL_METADATA, MODEL_PREFIX, tensors_under
from vpar_cache.runs.model_record import InputsRecord, ModelRecord
from vpar_cache.runs.record import first_invalid

_BATCH = 64
"""Rows per forward pass."""
_OF_WRONG_VALUES = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)
"""What reading a file of the wrong contents raises. Arithmetic: a number too large for any float."""


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """The model of a run, in eval mode on the CPU, and what it needs besides rows of features."""

    model: nn.Module
    """Maps rows (B, *row_shape) and text (A, Dt) to logits (B, A)."""
    inputs: ModelInputs
    """What it was built from. `inputs.text` is the text to give, `inputs.row_shape` the shape of a row."""
    schema: Schema
    settings: dict[str, Any]
    """All settings of the training."""
    reads: str
    """The array of a cache that its rows come from, as in `features.arrays[run.reads]`."""
    thresholds: NDArray[np.float64]
    """(A,): a probability above its output's is a yes. Chosen on validation people, or the paper's 0.45."""
    random_weights: bool
    """True where the features came from random weights: then predictions have no meaning."""
    encoder: dict[str, Any]
    """How its features were made: the settings of the cache, and `weights`, their name."""

    @torch.inference_mode()
    def predict(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Return probabilities (B, A) of rows (B, *row_shape), in the order of `schema.outputs`.

        Raises DataError for rows of another shape.
        """
        rows = np.asarray(rows)  # (B, *row_shape)
        if rows.shape[1:] != self.inputs.row_shape:
            expected = ", ".join(map(str, ("B", *self.inputs.row_shape)))
            raise DataError(
                f"rows: got shape {rows.shape}; expected ({expected}), rows of features.arrays[{self.reads!r}]"
            )
        parts = [
            self.model(torch.tensor(rows[start : start + _BATCH], dtype=torch.float32), self.inputs.text)
            for start in range(0, len(rows), _BATCH)
        ]  # each (up to _BATCH, A)
        logits = torch.cat(parts) if parts else torch.empty(0, self.inputs.num_outputs)  # (B, A)
        return self.objective.probabilities(logits).numpy()  # (B, A)

    @property
    def objective(self) -> Objective:
        """What its logits stand for."""
        return Objective(self.settings["loss"], self.inputs.groups, self.inputs.train_rates, torch.device("cpu"))

    def holds(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """Return which outputs hold, (B, A), for probabilities (B, A) as `predict` returns them.

        The output of a group of one holds if its probability is above its threshold. Of a group of several exactly
        one holds, the most probable: a person's top has one colour, whatever the thresholds. Raises DataError for
        another number of columns.
        """
        found = np.asarray(probabilities)  # (B, A)
        if found.ndim != 2 or found.shape[1] != len(self.thresholds):
            raise DataError(
                f"probabilities: got shape {found.shape}; expected (B, {len(self.thresholds)}), as from predict"
            )
        holds: NDArray[np.bool_] = found > self.thresholds.astype(found.dtype)  # (B, A)
        for group, columns in self.schema.slices():
            if group.is_choice:
                best = found[:, columns].argmax(axis=1)  # (B,)
                holds[:, columns] = best[:, None] == np.arange(len(group.outputs))  # (B, outputs of the group)
        return holds


def load_run(
    folder: str | os.PathLike[str], model: ModelBuilder | None = None, fix: str = "train the run again"
) -> LoadedRun:
    """Return the model of a finished run.

    `model`: the function that was given to `train(model=...)`, for a run of your own model. `fix`: what an error
    about a damaged file advises.
    Raises CacheError for a missing or damaged file, UserError where `model` is missing or not needed.
    """
    path = Path(folder) / "model.safetensors"
    with _as_cache_error(path, fix):
        check_readable(path)
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {})[MODEL_METADATA])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{name} has values that are not finite")
        schema = Schema.from_dict(metadata["schema"])
        settings = {**metadata["settings"], "loss": str(metadata["settings"]["loss"])}
        inputs = _inputs(metadata["inputs"], tensors_under(INPUT_PREFIX, tensors), schema)
        is_own = settings["model"] == CUSTOM
        module = None if is_own else _build(settings, inputs)
        reads, thresholds = str(metadata["reads"]), np.array(metadata["thresholds"], dtype=np.float64)  # (A,)
        if thresholds.shape != (schema.num_outputs,) or not ((thresholds >= 0) & (thresholds <= 1)).all():
            raise ValueError(f"expected {schema.num_outputs} thresholds between 0 and 1")
        random_weights, encoder = bool(metadata["random_weights"]), dict(metadata["encoder"])
    if is_own != (model is not None):
        raise UserError(
            f"{folder} is a run of your own model, which only Python can load: vpar_cache.load_run(folder, "
            "model=...) with the function that you gave to train"
            if is_own
            else f"model: {folder} is a run of a built-in model; leave `model` out"
        )
    if module is None:
        assert model is not None
        module = build_own_model(model, inputs)
    with _as_cache_error(path, fix):
        module.load_state_dict(tensors_under(MODEL_PREFIX, tensors))
    module = module.eval().requires_grad_(False)
    return LoadedRun(module, inputs, schema, settings, reads, thresholds, random_weights, encoder)


@contextmanager
def _as_cache_error(path: Path, fix: str) -> Iterator[None]:
    """Raise CacheError, one line that names the file, for every error that a damaged file causes."""
    try:
        yield
    except CacheError:
        raise
    except FileNotFoundError as error:
        raise CacheError(f"{path}: no such file; {fix}") from error
    except OSError as error:
        raise read_failure(path, error) from error
    except ValidationError as error:
        raise first_invalid(path, error, fix) from error
    except (SafetensorError, *_OF_WRONG_VALUES) as error:
        raise CacheError(f"{path} is not the model of a run ({str(error)[:200]}); {fix}") from error
    except VparError as error:
        raise CacheError(f"{path}: {error}; {fix}") from error


def _build(settings: dict[str, Any], inputs: ModelInputs) -> nn.Module:
    known = {field.name for field in fields(ModelSettings)}
    record = {key: value for key, value in settings.items() if key in known}
    return build_model(ModelRecord(**record), inputs)


def _inputs(stored: dict[str, Any], tensors: dict[str, Tensor], schema: Schema) -> ModelInputs:
    rates, text = tensors["train_rates"], tensors["text"]  # (A,), (A, Dt)
    if rates.shape != (schema.num_outputs,) or len(text) != schema.num_outputs:
        raise ValueError(f"{len(rates)} outputs, but its schema has {schema.num_outputs}")
    negative = tensors["negative"]  # (A, Dt)
    if text.ndim != 2 or negative.shape != text.shape or {text.dtype, negative.dtype} != {torch.float32}:
        raise ValueError(
            f"text embeddings of {tuple(text.shape)} {text.dtype} and {tuple(negative.shape)} {negative.dtype}; "
            "expected two float32 matrices of one shape"
        )
    record = InputsRecord(**stored)
    return ModelInputs(
        train_rates=rates.to(torch.float64),  # (A,)
        groups=tuple(columns for _, columns in schema.slices()),
        group_names=tuple(group.name for group in schema.groups),
        row_shape=tuple(record.row_shape),
        text=text,  # (A, Dt)
        negative=negative,  # (A, Dt)
        grid=(record.grid[0], record.grid[1]),
        prefix_tokens=record.prefix_tokens,
        logit_scale=record.logit_scale,
    )
