"""The frozen encoder: frames to mean tokens, prompts to embeddings, with a network of any library."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpar_cache.backbones.base import Backbone, NoText, TextEncoder
from vpar_cache.backbones.frame_module import FrameModule
from vpar_cache.backbones.names import NO_TEXT, NORMALIZATIONS, TIMM, resolve_text, split_backbone
from vpar_cache.backbones.open_clip_vit import load_open_clip
from vpar_cache.backbones.sentence_encoder import SentenceText, missing_packages
from vpar_cache.backbones.timm_model import load_timm
from vpar_cache.base.checks import check_choice
from vpar_cache.base.devices import resolve_precision
from vpar_cache.errors import DataError, UserError

CPU_BATCH_FRAMES, GPU_BATCH_FRAMES = 8, 512
"""Frames per forward pass. On a CPU, ViT-B/16 in bf16 was 1.5 times as fast with 4 to 12 as with 48."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_HALF = (0.5, 0.5, 0.5)
Part = TypeVar("Part")


@dataclass(frozen=True)
class EncodedBatch:
    """Features of B tracklets of T frames, as float16 on the CPU."""

    tokens: NDArray[np.float16]
    """(B, N, D): all tokens, averaged over frames (paper: F_v). CLIP's are projected: 197 x 512 for ViT-B/16."""
    frame_embeddings: NDArray[np.float16]
    """(B, T, D): the class token of each frame, or without one the mean of its tokens; not normalised."""
    frame_tokens: NDArray[np.float16] | None
    """(B, T, N, D), None unless asked for."""

    def row(self, number: int) -> EncodedBatch:
        """Return one tracklet: the same arrays without B."""
        kept = None if self.frame_tokens is None else self.frame_tokens[number]  # (T, N, D)
        return EncodedBatch(self.tokens[number], self.frame_embeddings[number], kept)


class Encoder:
    """A frozen network on one device, in eval mode, and its text encoder.

    `backbone` is open_clip:NAME or timm:NAME; the other arguments are as in ExtractConfig. Raises UserError for an
    unknown name, and when the weights do not fit or cannot be loaded.
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
        missing = missing_packages() if text == "auto" and self._text_kind == "minilm" else ()
        if missing:
            self._text_kind = NO_TEXT
        self.precision = resolve_precision(precision, device)
        self._clip_text: TextEncoder | None = None
        self._network: Backbone
        if library == TIMM:
            self._network = load_timm(architecture, weights, offline)
        else:
            self._network, self._clip_text = load_open_clip(architecture, weights, offline)
        network = self._network
        self.backbone, self.weights_name = network.name, network.weights_name
        self.notes = tuple(filter(None, (network.note, _no_text_note(missing))))
        self.visual_digest = network.digest
        self.image_size, self.num_tokens, self.dim = network.image_size, network.num_tokens, network.dim
        check_choice("--normalize", normalize, NORMALIZATIONS)
        own = normalize == "own"
        self.mean, self.std = (network.mean, network.std) if own else (_HALF, _HALF)
        self._fitting_frames: int | None = None  # None: no batch has been too large
        self._place(device)

    def copy_to(self, device: torch.device) -> Encoder:
        """Return an encoder of the same weights and precision on another device. They share the text encoder.

        Nothing is read again and no random number is drawn. Raises UserError where it does not fit there.
        """
        other = copy.copy(self)
        other.precision = resolve_precision(self.precision, device)
        other._network = copy.deepcopy(self._network)
        other._place(device)
        return other

    def _place(self, device: torch.device) -> None:
        """Move the network and the constants of the pixels to a device."""
        self.device = device
        try:
            self._network.place(device, _DTYPES[self.precision])
        except torch.cuda.OutOfMemoryError as error:
            raise UserError(
                f"--device: the encoder does not fit in the free memory of {device}; stop other programs that use "
                "it, or use --device cpu"
            ) from error
        self._mean = torch.tensor(self.mean, device=device).mul(255).view(1, 3, 1, 1)
        self._std = torch.tensor(self.std, device=device).mul(255).view(1, 3, 1, 1)

    @cached_property
    def text(self) -> TextEncoder:
        """The text encoder, loaded on first use: of several devices only one encodes prompts."""
        if self._text_kind == "clip" and self._clip_text is not None:
            return self._clip_text
        return NoText() if self._text_kind == NO_TEXT else SentenceText()

    def visual_identity(self) -> dict[str, Any]:
        """Return what decides visual features: architecture, tensors, precision. For the fingerprint.

        A reader of the cache learns from `grid`, `prefix_tokens` and `dim` what the tokens are.
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
        """Return what decides text embeddings, for the text fingerprint."""
        return {**self.text.identity(), "logit_scale": self.text.logit_scale}

    def environment(self) -> dict[str, str]:
        """Return library versions and processor: recorded with features, but not in their fingerprint."""
        cuda = self.device.type == "cuda"
        cpu = str(torch.cpu.get_capabilities().get("cpu_name", "unknown"))
        return {
            "torch": torch.__version__,
            **self._network.library(),
            "processor": torch.cuda.get_device_name(self.device) if cuda else cpu,
        }

    def as_module(self) -> FrameModule:
        """Return what the encoder computes of each frame as one torch module, which shares its tensors."""
        return FrameModule(self._network, self._mean, self._std)

    def batch_frames(self, asked: int | None) -> int:
        """Return the frames per forward pass: as asked, or what suits the device."""
        return asked or (CPU_BATCH_FRAMES if self.device.type == "cpu" else GPU_BATCH_FRAMES)

    @torch.inference_mode()
    def encode_frames(
        self, frames: NDArray[np.uint8], keep_frames: bool = False, counts: tuple[int, ...] = ()
    ) -> EncodedBatch:
        """Return the features of frames (B, T, S, S, 3). Uses smaller batches when a GPU runs out of memory.

        `counts`: how often each of the T frames counts in the mean; default once.
        """
        parts = self._in_parts(frames, lambda part: self._encode(part, keep_frames, counts))
        kept = [part.frame_tokens for part in parts if part.frame_tokens is not None]  # each (b, T, N, D)
        return EncodedBatch(
            np.concatenate([part.tokens for part in parts]),  # (B, N, D)
            np.concatenate([part.frame_embeddings for part in parts]),  # (B, T, D)
            np.concatenate(kept) if kept else None,  # (B, T, N, D)
        )

    def _in_parts(self, frames: NDArray[np.uint8], compute: Callable[[NDArray[np.uint8]], Part]) -> list[Part]:
        """Return the results of `compute` on parts of frames (B, ...): halves, after a GPU ran out of memory.

        What fits is remembered for later batches.
        """
        per_row = frames.shape[1] if frames.ndim == 5 else 1
        fits = len(frames) if self._fitting_frames is None else max(1, self._fitting_frames // per_row)
        if len(frames) > fits:  # known from an earlier batch
            starts = range(0, len(frames), fits)
            return [part for s in starts for part in self._in_parts(frames[s : s + fits], compute)]
        try:
            return [compute(frames)]
        except torch.cuda.OutOfMemoryError as error:
            if len(frames) == 1:
                what = f"one tracklet of {frames.shape[1]} frames" if frames.ndim == 5 else "one frame"
                raise UserError(
                    f"--frames: {what} does not fit in the memory of {self.device}; use fewer, or --device cpu"
                ) from error
        torch.cuda.empty_cache()
        self._fitting_frames = len(frames) // 2 * per_row
        return self._in_parts(frames, compute)

    def _encode(self, frames: NDArray[np.uint8], keep_frames: bool, counts: tuple[int, ...]) -> EncodedBatch:
        batch, count = frames.shape[:2]
        flat = frames.reshape(batch * count, *frames.shape[2:])  # (B*T, S, S, 3)
        tokens = self._tokens(flat).unflatten(0, (batch, count)).float()  # (B, T, N, width)
        project = self._network.project
        # Mean and projection are both linear: averaging first gives the same result for less work.
        mean_tokens = project(_mean(tokens, counts))  # (B, N, D)
        embeddings = project(self._network.summary(tokens))  # (B, T, D)
        kept = project(tokens) if keep_frames else None  # (B, T, N, D)
        return EncodedBatch(_half(mean_tokens), _half(embeddings), None if kept is None else _half(kept))

    def _tokens(self, frames: NDArray[np.uint8]) -> Tensor:
        """Return tokens (F, N, width) of frames (F, S, S, 3), in the precision of the network."""
        pixels = torch.from_numpy(frames).to(self.device, non_blocking=True)  # (F, S, S, 3)
        images = pixels.permute(0, 3, 1, 2).float()  # (F, 3, S, S)
        return self._network.tokens(((images - self._mean) / self._std).to(_DTYPES[self.precision]))

    @torch.inference_mode()
    def sum_tokens(self, frames: NDArray[np.uint8]) -> Tensor:
        """Return the tokens of frames (F, S, S, 3), summed over frames: float32 (N, width) on the device.

        For means over many frames, see mean_of. Uses smaller batches when a GPU runs out of memory.
        """
        first, *others = self._in_parts(frames, lambda part: self._tokens(part).float().sum(dim=0))  # (N, width)
        return sum(others, start=first)  # (N, width)

    @torch.inference_mode()
    def mean_of(self, total: Tensor, count: int) -> NDArray[np.float16]:
        """Return mean tokens (N, D) of the sum (N, width) over `count` frames, as encode_frames does."""
        return _half(self._network.project(total / count))  # (N, D)

    @torch.inference_mode()
    def encode_text(self, prompts: tuple[str, ...]) -> NDArray[np.float32]:
        """Return embeddings (A, Dt) of A prompts. Raises DataError for a prompt that is too long."""
        embeddings = self.text.encode(prompts)  # (A, Dt)
        if not np.isfinite(embeddings).all():
            raise DataError("--weights: the text encoder returned values that are not finite; use other weights")
        return embeddings

    def encode_prompts(
        self, prompts: Sequence[str], negatives: Sequence[str]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (A, Dt) twice: the prompts, and their negatives with zeros where a negative is empty."""
        present = [row for row, negative in enumerate(negatives) if negative]
        both = self.encode_text((*prompts, *(negatives[row] for row in present)))  # (A + negatives, Dt)
        embeddings = both[: len(prompts)]  # (A, Dt)
        negative_embeddings = np.zeros_like(embeddings)  # (A, Dt)
        negative_embeddings[present] = both[len(prompts) :]
        return embeddings, negative_embeddings


def _mean(tokens: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Return (B, N, width): the mean over the frames of (B, T, N, width), each as often as `counts` says."""
    if len(set(counts)) < 2:
        return tokens.mean(dim=1)  # (B, N, width)
    weights = torch.tensor(counts, dtype=tokens.dtype, device=tokens.device) / sum(counts)  # (T,)
    return torch.einsum("btnw,t->bnw", tokens, weights)


def _no_text_note(missing: tuple[str, ...]) -> str:
    """Return the line that says why there is no text, empty where nothing is missing."""
    if not missing:
        return ""
    return (
        f"text is not encoded, since the sentence encoder is not installed (pip install {' '.join(missing)}); "
        "only systems that read text need it"
    )


def _half(tensor: Tensor) -> NDArray[np.float16]:
    """Return the tensor as float16 on the CPU. Raises DataError for values that are not finite there."""
    half = tensor.to(torch.float16)
    if not torch.isfinite(half).all():
        raise DataError(
            "--weights: the encoder returned values that are not finite in float16; use --precision fp32, or "
            "other weights"
        )
    return cast(NDArray[np.float16], half.cpu().numpy())
