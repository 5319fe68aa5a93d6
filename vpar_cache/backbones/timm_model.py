"""Image networks of timm, transformers and convolutional ones. The only file that imports timm."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg
from torch import Tensor, nn

from vpar_cache.backbones.base import Backbone, quiet, seeded
from vpar_cache.backbones.hub import hub
from vpar_cache.backbones.names import TIMM
from vpar_cache.backbones.weights import is_weights_file, load_weights, random_seed_of, tensor_digest
from vpar_cache.errors import UserError, nearest

DEFAULT_WEIGHTS = "pretrained"
IMAGENET_VIT = "vit_base_patch16_224"


class TimmModel(Backbone):
    """A network whose `forward_features` returns tokens, or a feature map, which becomes a grid of tokens."""

    def __init__(self, model: Any, architecture: str, weights_name: str) -> None:
        self._architecture = architecture
        self._model = model
        self.name, self.weights_name = f"{TIMM}:{architecture}", weights_name
        data = resolve_model_data_config(model)
        channels, height, width = data["input_size"]
        if channels != 3 or height != width:
            raise UserError(
                f"--backbone: {self.name} reads {channels} x {height} x {width}; expected squares of 3 colours. "
                "Use another architecture, such as timm:vit_base_patch16_224"
            )
        self.image_size = int(height)
        self.mean, self.std = tuple(map(float, data["mean"])), tuple(map(float, data["std"]))
        self.digest = tensor_digest(model)
        with torch.inference_mode():
            probe = model.forward_features(torch.zeros(1, 3, height, width))
        self._read_layout(probe)

    def _read_layout(self, output: Any) -> None:
        """Find where the channels are, how many prefix tokens there are, and which grid the other tokens form."""
        model, width = self._model, int(self._model.num_features)
        self._channels_last = True  # a feature map of shape (h, w, D), else (D, h, w)
        self.has_class_token, self.prefix_tokens = False, 0
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
        if len(shape) == 3 and width in (shape[0], shape[2]):
            is_nhwc = getattr(model, "output_fmt", "NCHW") == "NHWC"
            self._channels_last = shape[0] != width or (shape[2] == width and is_nhwc)
            self.grid = (shape[0], shape[1]) if self._channels_last else (shape[1], shape[2])
            self.dim = width
            return
        # Without num_prefix_tokens it is not known which tokens are patches.
        prefix = getattr(model, "num_prefix_tokens", None)
        grid = _grid_of(model, shape[0] - prefix) if len(shape) == 2 and prefix is not None else None
        if grid is None:
            raise UserError(
                f"--backbone: {self.name} returns neither tokens over a known grid nor a feature map; use another "
                "architecture, such as timm:vit_base_patch16_224 or timm:resnet50"
            )
        self.grid, self.dim, self.prefix_tokens = grid, int(shape[1]), int(prefix or 0)
        has_class = getattr(model, "has_class_token", getattr(model, "cls_token", None) is not None)
        self.has_class_token = bool(has_class) and self.prefix_tokens > 0

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        self._model = self._model.to(device, dtype)

    @property
    def module(self) -> nn.Module:
        return cast(nn.Module, self._model)

    def tokens(self, images: Tensor) -> Tensor:
        output: Tensor = self._model.forward_features(images)  # (F, N, D), (F, h, w, D) or (F, D, h, w)
        if output.ndim == 3:
            return output  # (F, N, D)
        return output.flatten(1, 2) if self._channels_last else output.flatten(2).transpose(1, 2)  # (F, N, D)

    def project(self, tokens: Tensor) -> Tensor:
        return tokens  # (..., D): no space is shared with a text encoder

    def identity(self) -> dict[str, Any]:
        return {"backbone": self.name, "architecture": self._architecture}

    def library(self) -> dict[str, str]:
        return {"timm": timm.__version__}


def load_timm(name: str, weights: str | None, offline: bool) -> TimmModel:
    """Return a network of timm without its classifier.

    `name`: an architecture, with or without the tag of its weights (resnet50.a1_in1k). `weights`: None or
    `pretrained` (that tag, or the default one), a tag, a local .safetensors or .pt file, or random:SEED. The tag
    also decides how pixels are normalised. Raises UserError for an unknown architecture or tag, for a network
    without tokens or feature map, and when the weights cannot be loaded.
    """
    architecture, tag = _checked_name(name)
    weights = weights or DEFAULT_WEIGHTS
    seed = random_seed_of(weights)
    if seed is not None:
        with seeded(seed):
            model = _build(architecture, tag)
        return _frozen(model, architecture, weights)
    if is_weights_file(weights):
        model = _build(architecture, tag)
        classifier = model.pretrained_cfg.get("classifier") or ()
        heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
        load_weights(model, Path(weights), architecture, unused=tuple(f"{head}." for head in heads))
        return _frozen(model, architecture, Path(weights).name)
    if weights != DEFAULT_WEIGHTS:
        tags = _tags(architecture)
        if weights not in tags:
            known = nearest(weights, tags) if tags else "it has no trained weights"
            raise UserError(
                f"--weights: got {weights[:80]!r}; expected a tag of {architecture}, a file or random:SEED; "
                f"{known}"
            )
        if tag and weights != tag:
            raise UserError(f"--weights: {weights} is another tag than that of --backbone {name}; leave one out")
        tag = weights
    config = get_pretrained_cfg(_full(architecture, tag))
    if config is None or not (config.hf_hub_id or config.url or config.file):
        raise UserError(
            f"--backbone: timm has no trained weights of {architecture}; give a local file with "
            "--weights FILE.safetensors, or --weights random:0 (features without meaning)"
        )
    with hub(weights, name, offline, on_hub=bool(config.hf_hub_id)):
        model = timm.create_model(_full(architecture, tag), pretrained=True, num_classes=0)
    return _frozen(model, architecture, str(config.tag or weights))


def last_block_state(weights: str, offline: bool) -> dict[str, Tensor]:
    """Return the last block and the final LayerNorm of ImageNet's ViT-B/16, which the authors' fusion starts from.

    `weights`: `imagenet` (timm's default weights), a file, or random:SEED. The keys are norm1.weight,
    attn.qkv.weight, ..., mlp.fc2.bias of the block, and norm.weight, norm.bias. Raises UserError as load_timm, but
    naming --block-init.
    """
    wanted = DEFAULT_WEIGHTS if weights == "imagenet" else weights
    try:
        state = load_timm(IMAGENET_VIT, wanted, offline)._model.state_dict()
    except UserError as error:
        raise UserError(str(error).replace("--weights", "--block-init")) from error
    last = f"blocks.{max(int(key.split('.')[1]) for key in state if key.startswith('blocks.'))}."
    block = {key.removeprefix(last): value for key, value in state.items() if key.startswith(last)}
    return block | {key: value for key, value in state.items() if key.startswith("norm.")}


def _checked_name(name: str) -> tuple[str, str]:
    """Return architecture and tag of ARCHITECTURE.TAG; the tag may be empty. Raises UserError for unknown ones."""
    architecture, _, tag = name.partition(".")
    if architecture not in timm.list_models():
        raise UserError(
            f"--backbone: 'timm:{name[:80]}' is unknown to timm; {nearest(architecture, timm.list_models())}"
        )
    if tag and tag not in (tags := _tags(architecture)):
        raise UserError(f"--backbone: 'timm:{name[:80]}' has no weights {tag[:80]!r}; {nearest(tag, tags)}")
    return architecture, tag


def _tags(architecture: str) -> list[str]:
    names = (name.partition(".")[2] for name in get_arch_pretrained_cfgs(architecture))
    return sorted(tag for tag in names if tag)


def _full(architecture: str, tag: str) -> str:
    return f"{architecture}.{tag}" if tag else architecture


def _build(architecture: str, tag: str) -> Any:
    with quiet():
        return timm.create_model(_full(architecture, tag), pretrained=False, num_classes=0)


def _frozen(model: Any, architecture: str, weights_name: str) -> TimmModel:
    for name, counter in model.named_buffers():
        if name.endswith("num_batches_tracked"):
            counter.zero_()  # some files leave it out, and no feature depends on it
    return TimmModel(model.eval().requires_grad_(False), architecture, weights_name)


def _grid_of(model: Any, count: int) -> tuple[int, int] | None:
    """Return rows and columns of `count` tokens: those of the patches, or of a smaller square after pooling."""
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    if grid is not None and math.prod(grid) == count:
        return int(grid[0]), int(grid[1])
    side = math.isqrt(max(count, 0))
    return (side, side) if side and side * side == count else None
