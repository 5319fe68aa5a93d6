"""The interface of every frozen network, and what surrounds the building of one."""

from __future__ import annotations

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vpar_cache.backbones.names import NO_TEXT


class Backbone(ABC):
    """A frozen image network in eval mode. It returns tokens: first the prefix, then a grid, row by row."""

    name: str
    """Library and architecture: open_clip:ViT-B-16-quickgelu, timm:resnet50."""
    weights_name: str
    """A hub tag, the name of a file, or random:SEED."""
    image_size: int
    """S: it reads squares of S pixels."""
    grid: tuple[int, int]
    """Rows and columns of the patch tokens."""
    prefix_tokens: int
    """Tokens before the patches: class token, registers. N = prefix_tokens + rows * columns."""
    has_class_token: bool
    """Whether the first prefix token describes the whole image (registers do not)."""
    dim: int
    """D: width of a stored token."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Mean and deviation of the pixels it was trained with, from 0 to 1."""
    digest: str
    """weights.tensor_digest of its tensors."""
    note: str = ""
    """What is assumed of the weights, for the user to check."""

    @property
    def num_tokens(self) -> int:
        """N"""
        return self.prefix_tokens + self.grid[0] * self.grid[1]

    @abstractmethod
    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move the network to a device and a precision."""

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """What holds the tensors."""

    @abstractmethod
    def tokens(self, images: Tensor) -> Tensor:
        """Return tokens (F, N, width) of images (F, 3, S, S), after the last normalisation."""

    @abstractmethod
    def project(self, tokens: Tensor) -> Tensor:
        """Return float32 tokens (..., D) of (..., width). Linear, so it may be applied after a mean."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what defines the network besides its tensors: plain JSON, for the fingerprint."""

    @abstractmethod
    def library(self) -> dict[str, str]:
        """Return the version of the library that computes it."""

    def summary(self, tokens: Tensor) -> Tensor:
        """Return (..., width) of (..., N, width): the class token, or without one the mean over the patches."""
        if self.has_class_token:
            return tokens[..., 0, :]  # (..., width)
        return tokens[..., self.prefix_tokens :, :].mean(dim=-2)  # (..., width)


class TextEncoder(Protocol):
    """A frozen text network, in fp32 on the CPU: it encodes a few dozen prompts, once."""

    name: str
    """open_clip:ViT-B-16-quickgelu, the package of the sentence encoder, or none."""
    logit_scale: float | None
    """CLIP's factor on cosines of text and image; None where they share no space."""

    def identity(self) -> dict[str, Any]:
        """Return what decides its embeddings: plain JSON, for the text fingerprint."""

    def encode(self, prompts: tuple[str, ...]) -> NDArray[np.float32]:
        """Return embeddings (A, Dt) of A prompts. Raises DataError for a prompt that is too long."""


class NoText:
    """In place of a text encoder: embeddings of no width, for systems that never read them."""

    name = NO_TEXT
    logit_scale: float | None = None

    def identity(self) -> dict[str, Any]:
        return {"encoder": NO_TEXT}

    def encode(self, prompts: tuple[str, ...]) -> NDArray[np.float32]:
        """Return (A, 0) of A prompts."""
        return np.zeros((len(prompts), 0), np.float32)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' warnings about what we report ourselves, or intend."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw random weights from the seed alone, and leave the caller's random state unchanged."""
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        yield
