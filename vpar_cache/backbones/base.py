"""What every frozen network offers to the encoder, and how weights are fetched for all of them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import huggingface_hub
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpar_cache.backbones.weights import DAMAGED
from vpar_cache.errors import UserError


class Backbone(ABC):
    """A frozen image network in eval mode that gives tokens: first the prefix, then a grid, row by row."""

    name: str
    """With its library: open_clip:ViT-B-16-quickgelu, timm:resnet50."""
    weights_name: str
    """A hub tag, a file's name, or random:SEED."""
    image_size: int
    """S: it reads squares of S pixels."""
    grid: tuple[int, int]
    """Rows and columns of the tokens that stand for places in the image."""
    prefix_tokens: int
    """Tokens before those: class token, registers. N = prefix_tokens + rows * columns."""
    has_class_token: bool
    """The first prefix token stands for the whole image (registers do not)."""
    dim: int
    """D: the width of what is stored."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Of the pixels it was trained with, from 0 to 1."""
    digest: str
    """Of its tensors, see weights.tensor_digest."""

    @property
    def num_tokens(self) -> int:
        """N"""
        return self.prefix_tokens + self.grid[0] * self.grid[1]

    @abstractmethod
    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move to where it computes."""

    @abstractmethod
    def tokens(self, images: Tensor) -> Tensor:
        """(F, 3, S, S) -> (F, N, width), after the last normalisation."""

    @abstractmethod
    def project(self, tokens: Tensor) -> Tensor:
        """float32 (..., width) -> (..., D). Linear, so that it may come after a mean."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What makes it this network, besides its tensors: plain JSON, for the fingerprint."""

    @abstractmethod
    def library(self) -> dict[str, str]:
        """The version of the library that computes it."""

    def summary(self, tokens: Tensor) -> Tensor:
        """(..., N, width) -> (..., width): the class token, or without one the mean over the grid."""
        return tokens[..., 0, :] if self.has_class_token else tokens[..., self.prefix_tokens :, :].mean(dim=-2)


class TextEncoder(Protocol):
    """A frozen text network, in fp32 on the CPU: it reads a few dozen prompts, once."""

    name: str
    """open_clip:ViT-B-16-quickgelu, or the package of the sentence encoder."""
    logit_scale: float | None
    """What CLIP multiplies cosines of text and image by; None where text and image share no space."""

    def identity(self) -> dict[str, Any]:
        """What decides its embeddings: plain JSON, for the text fingerprint."""

    def encode(self, prompts: tuple[str, ...]) -> NDArray[np.float32]:
        """A prompts -> (A, Dt). A prompt that it cannot read whole is a DataError."""


@contextmanager
def quiet() -> Iterator[None]:
    """The libraries log an error or a warning for what we report ourselves, or intend."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(level)


@contextmanager
def hub(weights: str, name: str, offline: bool, on_hub: bool) -> Iterator[None]:
    """Inside, the model hub is asked unless `offline`; failing to get the weights is a UserError.

    `on_hub`: false for weights that the library would fetch from a plain address, which no setting stops.
    """
    unreachable = UserError(
        f"weights {weights!r} of {name} are not on this machine and the model hub "
        f"{'was not asked (--offline)' if offline else 'cannot be reached'}; give a local file with "
        "--weights FILE.safetensors, or try the program with --weights random:0 (features without meaning)"
    )
    if offline and not on_hub:
        raise unreachable
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = before or offline
    try:
        with quiet():
            yield
    except (RuntimeError, OSError) as error:
        raise unreachable from error
    except DAMAGED as error:
        raise UserError(
            f"weights {weights!r} of {name} in the model hub's cache on this machine are no whole file of tensors "
            "and were not loaded; delete them there, or give a local file with --weights FILE.safetensors"
        ) from error
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random weights that the seed alone decides; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        yield
