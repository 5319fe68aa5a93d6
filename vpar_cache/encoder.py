"""The frozen CLIP encoder: frames to mean tokens, prompts to embeddings.

The only file that imports open_clip.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import huggingface_hub
import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vpar_cache.errors import DataError, UserError, nearest
from vpar_cache.weights import load_weights, tensor_digest

MEAN_STD = {
    "clip": (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
CPU_BATCH_FRAMES, GPU_BATCH_FRAMES = 48, 512
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class EncodedBatch:
    """Features of B tracklets of T frames, float16 on the CPU."""

    tokens: NDArray[np.float16]
    """(B, N, D): all projected tokens, averaged over frames (paper: F_v); N = 197, D = 512 for ViT-B/16."""
    frame_embeddings: NDArray[np.float16]
    """(B, T, D): the projected class token of each frame, not normalised."""
    frame_tokens: NDArray[np.float16] | None
    """(B, T, N, D), only when asked for."""


class Encoder:
    """A frozen open_clip model on one device, in eval mode.

    `weights`: a hub tag of open_clip (openai, laion2b_s34b_b88k, ...), a local .safetensors or .pt file, or
    random:SEED. Raises UserError for an unknown architecture or tag, for an architecture whose activation
    is not the one that the weights were trained with, and when weights are neither here nor reachable.
    """

    def __init__(
        self, backbone: str, weights: str, *, device: torch.device, precision: str, normalize: str, offline: bool
    ) -> None:
        self.backbone = backbone
        self.weights_name = Path(weights).name if _is_file(weights) else weights
        self.device = device
        self.precision = resolve_precision(precision, self.device)
        model = _load(backbone, weights, offline)
        visual = model.visual
        if not isinstance(visual, open_clip.transformer.VisionTransformer) or visual.attn_pool is not None:
            raise UserError(f"--backbone {backbone!r} is no plain ViT with a class token; use ViT-B-16-quickgelu")
        self.visual_digest = tensor_digest(visual)
        self.text_digest = tensor_digest(model, skip="visual.")
        self._tokenizer = open_clip.get_tokenizer(backbone)
        self._visual = _placed(visual, self.device, _DTYPES[self.precision])
        self._text = model  # stays in fp32 on the CPU: a few dozen prompts, once
        self.image_size = int(visual.image_size[0])
        self.num_tokens = int(visual.grid_size[0] * visual.grid_size[1] + 1)
        self.dim = int(visual.output_dim)
        self.normalize = normalize
        mean, std = MEAN_STD[normalize]
        shape = (1, 3, 1, 1)
        self._mean = torch.tensor(mean, device=self.device).mul(255).view(shape)
        self._std = torch.tensor(std, device=self.device).mul(255).view(shape)

    def visual_identity(self) -> dict[str, Any]:
        """What of this encoder decides visual features: architecture, tensors, numbers. For the fingerprint."""
        mean, std = MEAN_STD[self.normalize]
        return {
            "backbone": self.backbone,
            "architecture": open_clip.get_model_config(self.backbone)["vision_cfg"],
            "activation": _activation(self.backbone),
            "image_size": self.image_size,
            "mean": list(mean),
            "std": list(std),
            "weights_digest": self.visual_digest,
            "precision": self.precision,
        }

    def text_identity(self) -> dict[str, Any]:
        """What of this encoder decides text embeddings, for the text fingerprint."""
        return {
            "backbone": self.backbone,
            "architecture": open_clip.get_model_config(self.backbone)["text_cfg"],
            "activation": _activation(self.backbone),
            "weights_digest": self.text_digest,
            "precision": "fp32",
        }

    def environment(self) -> dict[str, str]:
        """Library versions and processor: recorded beside features, no part of their fingerprint."""
        cuda = self.device.type == "cuda"
        cpu = str(torch.cpu.get_capabilities().get("cpu_name", "unknown"))
        return {
            "torch": torch.__version__,
            "open_clip": open_clip.__version__,
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
        pixels = torch.from_numpy(frames).to(self.device, non_blocking=True)  # (B, T, S, S, 3) uint8
        images = pixels.flatten(0, 1).permute(0, 3, 1, 2).float()  # (B*T, 3, S, S)
        images = ((images - self._mean) / self._std).to(_DTYPES[self.precision])
        output = self._visual.forward_intermediates(
            images,
            indices=1,
            normalize_intermediates=True,  # ln_post on every token, not on the class token alone
            intermediates_only=True,
            output_fmt="NLC",
            output_extra_tokens=True,
        )
        patches = output["image_intermediates"][0]  # (B*T, N-1, width)
        classes = output["image_intermediates_prefix"][0]  # (B*T, 1, width)
        tokens = torch.cat([classes, patches], dim=1).unflatten(0, (batch, count))  # (B, T, N, width)
        project = self._visual.proj.float()  # (width, D)
        # The mean and the projection are both linear, so averaging first gives the same for less work.
        mean_tokens = tokens.float().mean(dim=1) @ project  # (B, N, D)
        embeddings = tokens[:, :, 0].float() @ project  # (B, T, D)
        kept = tokens.float() @ project if keep_frames else None  # (B, T, N, D)
        return EncodedBatch(_half(mean_tokens), _half(embeddings), None if kept is None else _half(kept))

    @torch.inference_mode()
    def encode_text(self, prompts: tuple[str, ...]) -> NDArray[np.float32]:
        """A prompts -> (A, D) float32, not normalised. A prompt beyond the context length is a DataError."""
        tokens = self._tokenizer(list(prompts))  # (A, context)
        end = self._tokenizer.eot_token_id
        full = self._tokenizer(list(prompts), context_length=4 * self._text.context_length)
        for prompt, ids in zip(prompts, full, strict=True):
            length = int((ids == end).nonzero()[0]) + 1
            if length > self._text.context_length:
                raise DataError(
                    f"prompt {prompt[:60]!r}... has {length} tokens, but the text encoder reads "
                    f"{self._text.context_length}; shorten it"
                )
        embeddings = self._text.encode_text(tokens)  # (A, D)
        if not embeddings.isfinite().all():
            raise DataError("the text encoder gave values that are not finite; use other --weights")
        return cast(NDArray[np.float32], embeddings.float().numpy())


def _placed(visual: nn.Module, device: torch.device, dtype: torch.dtype) -> Any:
    try:
        return visual.to(device, dtype)
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


def resolve_precision(precision: str, device: torch.device) -> str:
    """auto -> bf16 where the device computes it natively, else fp32 (emulated bf16 is slower than fp32)."""
    if device.type == "cpu":
        if precision == "fp16":
            raise UserError("--precision fp16 needs a GPU; use bf16 or fp32 on a CPU")
        capabilities = torch.cpu.get_capabilities()
        native = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    else:
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    if precision == "auto":
        return "bf16" if native else "fp32"
    return precision


def random_seed_of(weights: str) -> int | None:
    """random:SEED -> SEED; None for real weights. A malformed seed is a UserError."""
    if not weights.startswith("random:"):
        return None
    seed = weights.removeprefix("random:")
    if not seed.isdecimal() or len(seed) > 18:
        raise UserError(f"--weights {weights!r}: the seed must be a whole number, as in random:0")
    return int(seed)


def _is_file(weights: str) -> bool:
    return Path(weights).suffix in (".safetensors", ".pt", ".pth", ".bin", ".ckpt") or Path(weights).is_file()


def _activation(backbone: str) -> str:
    return "quick_gelu" if open_clip.get_model_config(backbone).get("quick_gelu") else "gelu"


def _load(backbone: str, weights: str, offline: bool) -> Any:
    if backbone not in open_clip.list_models():
        raise UserError(f"--backbone {backbone[:80]!r} is unknown to open_clip; {_near_backbones(backbone)}")
    seed = random_seed_of(weights)
    if seed is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _build(backbone)
    elif _is_file(weights):
        model = _build(backbone)
        load_weights(model, Path(weights), backbone)
    else:
        model = _load_tag(backbone, weights, offline)
    return model.eval().requires_grad_(False)


def _near_backbones(backbone: str) -> str:
    return nearest(backbone, [name for name in open_clip.list_models() if name.startswith("ViT-")])


def _build(backbone: str) -> Any:
    with _quiet():
        return open_clip.create_model(backbone, pretrained=None, pretrained_text=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip logs an error or a warning for what we report ourselves, or intend."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(level)


def _load_tag(backbone: str, tag: str, offline: bool) -> Any:
    config = open_clip.get_pretrained_cfg(backbone, tag)
    if not config:
        tags = open_clip.list_pretrained_tags_by_model(backbone)
        raise UserError(
            f"--weights {tag[:80]!r} is no tag of {backbone}, no file and no random:SEED; {nearest(tag, tags)}"
        )
    trained = "quick_gelu" if config.get("quick_gelu") else "gelu"
    if trained != _activation(backbone):
        right = f"{backbone}-quickgelu" if trained == "quick_gelu" else backbone.removesuffix("-quickgelu")
        raise UserError(
            f"--weights {tag} were trained with {trained}, but --backbone {backbone} computes "
            f"{_activation(backbone)}, which gives wrong features silently; use --backbone {right}"
        )
    unreachable = UserError(
        f"weights {tag!r} of {backbone} are not on this machine and the model hub "
        f"{'was not asked (--offline)' if offline else 'cannot be reached'}; give a local file with "
        "--weights FILE.safetensors, or try the program with --weights random:0 (features without meaning)"
    )
    if offline and not config.get("hf_hub"):
        raise unreachable  # open_clip would fetch it by address
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = before or offline
    try:
        with _quiet():
            return open_clip.create_model(backbone, pretrained=tag, weights_only=True)
    except (RuntimeError, OSError) as error:
        raise unreachable from error
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before
