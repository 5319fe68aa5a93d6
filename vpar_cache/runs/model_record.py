"""What a stored model is built from: its settings and the shapes of its inputs, within limits.

A file of a model is untrusted: a width without limit would fill the memory before its tensors are compared.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from vpar_cache.models.settings import (
    MAX_DIM,
    MAX_HEADS,
    MAX_LAYERS,
    MOST_PARAMETERS,
    PARTS,
    ModelSettings,
    block_parameters,
)
from vpar_cache.models.systems import MODELS

_STRICT = ConfigDict(strict=True)
_Size = Annotated[int, Field(ge=1, le=100_000)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ModelRecord(ModelSettings):
    """Settings of a built-in model."""

    dim: Annotated[int, Field(ge=1, le=MAX_DIM)] = 512
    layers: Annotated[int, Field(ge=1, le=MAX_LAYERS)] = 1
    heads: Annotated[int, Field(ge=1, le=MAX_HEADS)] = 8

    norm_eps: Annotated[float, Field(gt=0, lt=1)] = 1e-5

    @model_validator(mode="after")
    def _check(self) -> ModelRecord:
        if self.model not in MODELS:
            raise ValueError(f"model {self.model[:80]!r} is unknown")
        if self.parts is not None and self.parts not in PARTS:
            raise ValueError(f"parts {self.parts[:80]!r} is unknown")
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is no multiple of heads {self.heads}")
        if block_parameters(self.dim, self.layers) > MOST_PARAMETERS:
            raise ValueError(f"dim {self.dim} with layers {self.layers} are over {MOST_PARAMETERS:,} parameters")
        return self


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class InputsRecord:
    """What of ModelInputs is no tensor."""

    row_shape: Annotated[list[_Size], Field(min_length=2, max_length=3)]
    grid: Annotated[list[_Size], Field(min_length=2, max_length=2)]
    prefix_tokens: Annotated[int, Field(ge=0, le=100_000)]
    logit_scale: Annotated[float, Field(allow_inf_nan=False)] | None
