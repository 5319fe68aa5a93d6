"""The frozen encoder of an extraction, on one device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vpar_cache.base.devices import resolve_device
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_request import EncoderIdentity

if TYPE_CHECKING:
    from vpar_cache.backbones.encoder import Encoder


def build_encoder(config: ExtractConfig, device: str, precision: str | None = None) -> Encoder:
    """Return the encoder of these settings. `precision`: the one that auto resolved to on the first device."""
    from vpar_cache.backbones.encoder import Encoder  # here: it imports torch and the libraries of networks

    return Encoder(
        config.backbone,
        config.weights,
        device=resolve_device(device),
        precision=precision or config.precision,
        normalize=config.normalize,
        offline=config.offline,
        text=config.text,
    )


def identity_of(encoder: Encoder) -> EncoderIdentity:
    """Return what of an encoder decides features."""
    return EncoderIdentity(
        visual=encoder.visual_identity(),
        text=encoder.text_identity(),
        weights_name=encoder.weights_name,
        num_tokens=encoder.num_tokens,
        dim=encoder.dim,
    )
