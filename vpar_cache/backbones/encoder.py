"""The frozen encoder: frames to mean tokens, prompts to embeddings, whichever library brings the network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpar_cache.backbones.base import Backbone, TextEncoder
from vpar_cache.backbones.names import NORMALIZATIONS, TIMM, resolve_text, split_backbone
from vpar_cache.backbones.open_clip_vit import load_open_clip
from vpar_cache.backbones.sentences import SentenceText
from vpar_cache.backbones.timm_model import load_timm
from vpar_cache.base.devices import resolve_precision
from vpar_cache.base.settings import check_choice
from vpar_cache.errors import DataError, UserError

CPU_BATCH_FRAMES, GPU_BATCH_FRAMES = 8, 512
"""On a CPU a small batch stays in its caches: ViT-B/16 in bf16 was half as fast again at 4 to 12 as at 48."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class EncodedBatch:
    """Features of B tracklets of T frames, float16 on the CPU."""

    tokens: NDArray[np.float16]
    """(B, N, D): all tokens, averaged over frames; CLIP's are projected (paper: F_v), 197 x 512 for ViT-B/16."""
    frame_embeddings: NDArray[np.float16]
    """(B, T, D): each frame's class token, or without one the mean of its tokens; not normalised."""
    frame_tokens: NDArray[np.float16] | None
    """(B, T, N, D), only when asked for."""


class Encoder:
    """A frozen network on one device, in eval mode, with the text encoder that goes with it.

    `backbone` is open_clip:NAME or timm:NAME, `weights` as in ExtractConfig. Raises UserError for what is
    unknown or does not fit, and for weights that are neither here nor reachable: see backbones/.
    """

    def __init__(
        self,
        backbone: str,
        weights: str | None,
        *,
        device: torch.device,
        precision: str,
        normalize: str,
        offline: bool,
        text: str = "auto",
    ) -> None:
        library, architecture = split_backbone(backbone)
        self._text_kind = resolve_text(text, library)
        self.device = device
        self.precision = resolve_precision(precision, self.device)
        self._clip_text: TextEncoder | None = None
        self._network: Backbone
        if library == TIMM:
            self._network = load_timm(architecture, weights, offline)
        else:
            self._network, self._clip_text = load_open_clip(architecture, weights, offline)
        network = self._network
        self.backbone, self.weights_name = network.name, network.weights_name
        self.visual_digest = network.digest
        self.image_size, self.num_tokens, self.dim = network.image_size, network.num_tokens, network.dim
        check_choice("--normalize", normalize, NORMALIZATIONS)
        own = normalize == "own"
        self.mean, self.std = (network.mean, network.std) if own else (_HALF, _HALF)
        _place(network, self.device, _DTYPES[self.precision])
        shape = (1, 3, 1, 1)
        self._mean = torch.tensor(self.mean, device=self.device).mul(255).view(shape)
        self._std = torch.tensor(self.std, device=self.device).mul(255).view(shape)

    @cached_property
    def text(self) -> TextEncoder:
        """Loaded on first use: of several devices one reads the prompts."""
        return self._clip_text if self._text_kind == "clip" and self._clip_text is not None else SentenceText()

    def visual_identity(self) -> dict[str, Any]:
        """What of this encoder decides visual features: architecture, tensors, numbers. For the fingerprint.

        `grid`, `prefix_tokens` and `dim` tell a reader what the tokens are.
        """
        return {
            **self._network.identity(),
            "grid": list(self._network.grid),
            "prefix_tokens": self._network.prefix_tokens,
            "class_token": self._network.has_class_token,
            "dim": self.dim,
            "image_size": self.image_size,
            "mean": list(self.mean),
            "std": list(self.std),
            "weights_digest": self.visual_digest,
            "precision": self.precision,
        }

    def text_identity(self) -> dict[str, Any]:
        """What of this encoder decides text embeddings, for the text fingerprint."""
        return {**self.text.identity(), "logit_scale": self.text.logit_scale}

    def environment(self) -> dict[str, str]:
        """Library versions and processor: recorded beside features, no part of their fingerprint."""
        cuda = self.device.type == "cuda"
        cpu = str(torch.cpu.get_capabilities().get("cpu_name", "unknown"))
        return {
            "torch": torch.__version__,
            **self._network.library(),
            "processor": torch.cuda.get_device_name(self.device) if cuda else cpu,
        }

    def batch_frames(self, asked: int | None) -> int:
        """Frames per forward pass: what was asked for, or what suits the device."""
        return asked or (CPU_BATCH_FRAMES if self.device.type == "cpu" else GPU_BATCH_FRAMES)

    @torch.inference_mode()
    def encode_frames(self, frames: NDArray[np.uint8], keep_frames: bool = False) -> EncodedBatch:
        """(B, T, S, S, 3) uint8 -> features. Halves the batch when a GPU runs out of memory."""
        try:
            return self._encode(frames, keep_frames)
        except torch.cuda.OutOfMemoryError as error:
            if len(frames) == 1:
                raise UserError(
                    f"one tracklet of {frames.shape[1]} frames does not fit in the memory of {self.device}; "
                    "use fewer --frames or --device cpu"
                ) from error
        torch.cuda.empty_cache()
        half = len(frames) // 2
        first, second = (self.encode_frames(part, keep_frames) for part in (frames[:half], frames[half:]))
        return EncodedBatch(
            np.concatenate([first.tokens, second.tokens]),
            np.concatenate([first.frame_embeddings, second.frame_embeddings]),
            np.concatenate([first.frame_tokens, second.frame_tokens])
            if first.frame_tokens is not None and second.frame_tokens is not None
            else None,
        )

    def _encode(self, frames: NDArray[np.uint8], keep_frames: bool) -> EncodedBatch:
        batch, count = frames.shape[:2]
        flat = frames.reshape(batch * count, *frames.shape[2:])  # (B*T, S, S, 3)
        tokens = self._tokens(flat).unflatten(0, (batch, count)).float()  # (B, T, N, width)
        project = self._network.project
        # The mean and the projection are both linear, so averaging first gives the same for less work.
        mean_tokens = project(tokens.mean(dim=1))  # (B, N, D)
        embeddings = project(self._network.summary(tokens))  # (B, T, D)
        kept = project(tokens) if keep_frames else None  # (B, T, N, D)
        return EncodedBatch(_half(mean_tokens), _half(embeddings), None if kept is None else _half(kept))

    def _tokens(self, frames: NDArray[np.uint8]) -> Tensor:
        """(F, S, S, 3) uint8 -> (F, N, width) in the precision of the network"""
        pixels = torch.from_numpy(frames).to(self.device, non_blocking=True)
        images = pixels.permute(0, 3, 1, 2).float()  # (F, 3, S, S)
        return self._network.tokens(((images - self._mean) / self._std).to(_DTYPES[self.precision]))

    @torch.inference_mode()
    def sum_tokens(self, frames: NDArray[np.uint8]) -> Tensor:
        """(F, S, S, 3) uint8 -> (N, width) float32 on the device: summed over frames: for means over many.

        Halves the batch when a GPU runs out of memory.
        """
        try:
            return self._tokens(frames).float().sum(dim=0)
        except torch.cuda.OutOfMemoryError as error:
            if len(frames) == 1:
                raise UserError(
                    f"one frame does not fit in the memory of {self.device}; use --device cpu"
                ) from error
        torch.cuda.empty_cache()
        half = len(frames) // 2
        return self.sum_tokens(frames[:half]) + self.sum_tokens(frames[half:])

    @torch.inference_mode()
    def mean_of(self, total: Tensor, count: int) -> NDArray[np.float16]:
        """(N, width) summed over `count` frames -> (N, D), what encode_frames gives as tokens."""
        return _half(self._network.project(total / count))

    @torch.inference_mode()
    def encode_text(self, prompts: tuple[str, ...]) -> NDArray[np.float32]:
        """A prompts -> (A, Dt) float32. A prompt that the text encoder cannot read whole is a DataError."""
        embeddings = self.text.encode(prompts)
        if not np.isfinite(embeddings).all():
            raise DataError("the text encoder gave values that are not finite; use other --weights")
        return embeddings


def _place(network: Backbone, device: torch.device, dtype: torch.dtype) -> None:
    try:
        network.place(device, dtype)
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"the encoder does not fit in the free memory of {device}; end what else uses it, or use --device cpu"
        ) from error


def _half(tensor: Tensor) -> NDArray[np.float16]:
    array = tensor.to(torch.float16).cpu().numpy()
    if not np.isfinite(array).all():
        raise DataError(
            "the encoder gave values that are not finite in float16; use --precision fp32, or other weights"
        )
    return cast(NDArray[np.float16], array)
