"""CLIP of open_clip: all projected tokens of its ViT, and its text encoder. The only file that imports it."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vpar_cache.backbones.base import Backbone, quiet, seeded
from vpar_cache.backbones.hub import hub
from vpar_cache.backbones.names import OPEN_CLIP
from vpar_cache.backbones.weights import is_weights_file, load_weights, random_seed_of, tensor_digest
from vpar_cache.errors import DataError, UserError, nearest

DEFAULT_WEIGHTS = "openai"
_DIGEST = re.compile(r"(?<=/)[0-9a-f]{64}(?=/)|(?<=-)[0-9a-f]{8}(?=\.pt$)")
"""The SHA-256 of a file in the address that open_clip has of it, or its first 8 digits."""


class OpenClipVit(Backbone):
    """The visual tower: all tokens pass the last LayerNorm and the projection."""

    def __init__(self, model: Any, architecture: str, weights_name: str) -> None:
        visual = model.visual
        self._architecture = architecture
        self._visual: Any = visual
        self.name, self.weights_name = f"{OPEN_CLIP}:{architecture}", weights_name
        self.image_size = int(visual.image_size[0])
        self.grid = (int(visual.grid_size[0]), int(visual.grid_size[1]))
        self.prefix_tokens, self.has_class_token = 1, True
        self.dim = int(visual.output_dim)
        # Those of the weights' tag; for a file, which does not say them, OpenAI's.
        self.mean, self.std = tuple(map(float, visual.image_mean)), tuple(map(float, visual.image_std))
        self.digest = tensor_digest(visual)

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        self._visual = self._visual.to(device, dtype)

    @property
    def module(self) -> nn.Module:
        return cast(nn.Module, self._visual)

    def tokens(self, images: Tensor) -> Tensor:
        output = self._visual.forward_intermediates(
            images,
            indices=1,
            normalize_intermediates=True,  # ln_post on all tokens, not only on the class token
            intermediates_only=True,
            output_fmt="NLC",
            output_extra_tokens=True,
        )
        patches = output["image_intermediates"][0]  # (F, N-1, width)
        classes = output["image_intermediates_prefix"][0]  # (F, 1, width)
        return torch.cat([classes, patches], dim=1)  # (F, N, width)

    def project(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, tokens @ self._visual.proj.float())  # (..., D)

    def identity(self) -> dict[str, Any]:
        return {
            "backbone": self.name,
            "architecture": open_clip.get_model_config(self._architecture)["vision_cfg"],
            "activation": _activation(self._architecture),
        }

    def library(self) -> dict[str, str]:
        return {"open_clip": open_clip.__version__}


class ClipText:
    """CLIP's text encoder, which shares a space with the projected visual tokens."""

    def __init__(self, model: Any, architecture: str) -> None:
        self._model = model
        self._architecture = architecture
        self._tokenizer = open_clip.get_tokenizer(architecture)
        self.name = f"{OPEN_CLIP}:{architecture}"
        self.digest = tensor_digest(model, skip="visual.")
        # Rounded, since processors differ in the last bits of an exponential, and this enters the fingerprint.
        self.logit_scale: float | None = round(math.exp(float(model.logit_scale)), 4)

    def identity(self) -> dict[str, Any]:
        return {
            "encoder": self.name,
            "architecture": open_clip.get_model_config(self._architecture)["text_cfg"],
            "activation": _activation(self._architecture),
            "weights_digest": self.digest,
            "precision": "fp32",
        }

    def encode(self, prompts: tuple[str, ...]) -> NDArray[np.float32]:
        """Return embeddings (A, D), not normalised. Raises DataError for a prompt that is too long."""
        tokens = self._tokenizer(list(prompts))  # (A, context)
        end = self._tokenizer.eot_token_id
        full = self._tokenizer(list(prompts), context_length=4 * self._model.context_length)  # (A, 4 * context)
        for prompt, ids in zip(prompts, full, strict=True):
            length = int((ids == end).nonzero()[0]) + 1
            if length > self._model.context_length:
                raise DataError(
                    f"--prompts: {prompt[:60]!r}... has {length} tokens; expected at most "
                    f"{self._model.context_length}. Shorten it"
                )
        embeddings = self._model.encode_text(tokens)  # (A, D)
        return cast(NDArray[np.float32], embeddings.float().numpy())


def load_open_clip(architecture: str, weights: str | None, offline: bool) -> tuple[OpenClipVit, ClipText]:
    """Return both towers of one model.

    `weights`: a hub tag of open_clip (openai, laion2b_s34b_b88k, ...), a local .safetensors or .pt file, or
    random:SEED; None: openai. The tag also decides how pixels are normalised. Raises UserError for an unknown
    architecture or tag, for an architecture that differs from CLIP's or has another activation than the weights
    were trained with, and when the weights cannot be loaded.
    """
    weights = weights or DEFAULT_WEIGHTS
    if architecture not in open_clip.list_models():
        plain = [name for name in open_clip.list_models() if name.startswith("ViT-")]
        raise UserError(
            f"--backbone: {architecture[:80]!r} is unknown to open_clip; {nearest(architecture, plain)}"
        )
    _refuse_other_designs(architecture)
    name, note = weights, ""
    seed = random_seed_of(weights)
    if seed is not None:
        with seeded(seed):
            model = _build(architecture)
    elif is_weights_file(weights):
        model, name, note = _load_file(architecture, Path(weights))
    else:
        model = _load_tag(architecture, weights, offline)
    model = model.eval().requires_grad_(False)
    network = OpenClipVit(model, architecture, name)
    network.note = note
    return network, ClipText(model, architecture)


def _refuse_other_designs(architecture: str) -> None:
    """Raise UserError unless it is a ViT with a class token and a text tower with CLIP's own tokenizer.

    Decided before it is built: other tokenizers and text towers are fetched from the hub, even for random weights.
    """
    config = open_clip.get_model_config(architecture)
    vision, text = config["vision_cfg"], config["text_cfg"]
    own_tokenizer = not any(name.startswith("hf_") for name in text) and "siglip" not in architecture.lower()
    class_token = (
        not vision.get("timm_model_name")
        and isinstance(vision.get("layers"), int)  # a ResNet has four numbers
        and not vision.get("attentional_pool")
        and vision.get("pool_type", "tok") == "tok"
        and not vision.get("final_ln_after_pool")
    )
    if not class_token or not own_tokenizer or "multimodal_cfg" in config:
        raise UserError(
            f"--backbone: got {architecture!r}, which has "
            f"{'another pooling than' if not class_token else 'another text encoder than'} CLIP; expected a ViT "
            "with a class token and the tokenizer of CLIP. Use ViT-B-16-quickgelu"
        )


def _activation(architecture: str) -> str:
    return "quick_gelu" if open_clip.get_model_config(architecture).get("quick_gelu") else "gelu"


def _build(architecture: str, pixels: dict[str, Any] | None = None) -> Any:
    """Return a model with random weights. `pixels`: mean and deviation that it expects; None: OpenAI's."""
    with quiet():
        return open_clip.create_model(
            architecture, pretrained=None, pretrained_text=False, force_preprocess_cfg=pixels
        )


def _load_file(architecture: str, path: Path) -> tuple[Any, str, str]:
    """Return the model, the name of its weights and a note on what is assumed of them.

    A file does not say its activation or how pixels were normalised. Those that open_clip has published are known
    by their digest.
    """
    tag, config = _published(path)
    if tag:
        _refuse_activation(f"{path} ({tag})", config, architecture)
    model = _build(architecture, {name: config[name] for name in ("mean", "std")} if tag else None)
    load_weights(model, path, architecture)
    if tag:
        return model, f"{path.name} ({tag})", ""
    other, others = (
        (architecture.removesuffix("-quickgelu"), "LAION's and most others")
        if _activation(architecture) == "quick_gelu"
        else (f"{architecture}-quickgelu", "OpenAI's, DFN's and MetaCLIP's")
    )
    instead = (
        f"; weights of the other kind ({others}) need --backbone {other}"
        if other in open_clip.list_models()
        else ""
    )
    note = (
        f"{path.name} does not say its activation: {_activation(architecture)} is assumed, as --backbone "
        f"{architecture} says, and OpenAI's mean and deviation of pixels{instead}"
    )
    return model, path.name, note


def _published(path: Path) -> tuple[str, dict[str, Any]]:
    """Return tag and settings of a file that open_clip has published, empty for any other file."""
    if not path.is_file():
        return "", {}  # told by what reads the tensors
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    for architecture, tag in open_clip.list_pretrained():
        config = open_clip.get_pretrained_cfg(architecture, tag)
        if any(digest.startswith(known) for known in _DIGEST.findall(config.get("url", ""))):
            return tag, config
    return "", {}


def _load_tag(architecture: str, tag: str, offline: bool) -> Any:
    config = open_clip.get_pretrained_cfg(architecture, tag)
    if not config:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        raise UserError(
            f"--weights: got {tag[:80]!r}; expected a tag of {architecture}, a file or random:SEED; "
            f"{nearest(tag, tags)}"
        )
    _refuse_activation(tag, config, architecture)
    with hub(tag, architecture, offline, on_hub=bool(config.get("hf_hub"))):
        return open_clip.create_model(architecture, pretrained=tag, weights_only=True)


def _refuse_activation(weights: str, config: dict[str, Any], architecture: str) -> None:
    """Raise UserError where the architecture computes another activation than the weights were trained with."""
    trained = "quick_gelu" if config.get("quick_gelu") else "gelu"
    if trained != _activation(architecture):
        right = f"{architecture}-quickgelu" if trained == "quick_gelu" else architecture.removesuffix("-quickgelu")
        raise UserError(
            f"--weights: {weights} was trained with {trained}, but --backbone {architecture} computes "
            f"{_activation(architecture)}, which would give wrong features; use --backbone {right}"
        )
