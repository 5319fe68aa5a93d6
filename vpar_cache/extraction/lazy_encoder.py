"""The encoder of an extraction, made when it is first needed: to compute nothing, its identity is enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vpar_cache.base.devices import check_device_name, resolve_device
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_memory import EncoderIdentity

if TYPE_CHECKING:
    from vpar_cache.backbones.encoder import Encoder


class OtherEncoderError(Exception):
    """The encoder that was made is not what was recalled of it: what was concluded from that is void."""


class LazyEncoder:
    """What `make` gives, when it is first needed; `recalled`: what it is expected to be."""

    def __init__(self, make: Callable[[], Encoder], recalled: EncoderIdentity | None = None) -> None:
        self._make = make
        self._identity = recalled
        self._encoder: Encoder | None = None

    @property
    def is_made(self) -> bool:
        """Whether the identity is the encoder's own, not only recalled."""
        return self._encoder is not None

    @property
    def identity(self) -> EncoderIdentity:
        """As recalled, or else as it is."""
        if self._identity is None:
            self.load()
        assert self._identity is not None
        return self._identity

    def load(self) -> Encoder:
        """The encoder. OtherEncoderError when it is made and belies what was recalled; from then on `identity` is
        its own."""
        if self._encoder is None:
            self._encoder = self._make()
            recalled, self._identity = self._identity, _identity_of(self._encoder)
            if recalled is not None and recalled.canonical() != self._identity.canonical():
                raise OtherEncoderError
        return self._encoder


def encoder_for(config: ExtractConfig, recalled: EncoderIdentity | None) -> LazyEncoder:
    """The encoder on the first device. Devices that are not here are a UserError: at once, where nothing is
    recalled and the encoder will be needed, else when it is."""

    def make() -> Encoder:
        _find(config.devices)
        return make_encoder(config, config.devices[0])

    if recalled is None:
        _find(config.devices)
    for device in config.devices:
        check_device_name(device)
    return LazyEncoder(make, recalled)


def _find(devices: Sequence[str]) -> None:
    for device in devices:
        resolve_device(device)


def make_encoder(config: ExtractConfig, device: str, precision: str | None = None) -> Encoder:
    """The frozen encoder of these settings on one device; `precision`: what the settings came to elsewhere."""
    from vpar_cache.backbones.encoder import Encoder  # here: it imports torch and all libraries of networks

    return Encoder(
        config.backbone,
        config.weights,
        device=resolve_device(device),
        precision=precision or config.precision,
        normalize=config.normalize,
        offline=config.offline,
        text=config.text,
    )


def _identity_of(encoder: Encoder) -> EncoderIdentity:
    return EncoderIdentity(encoder.visual_identity(), encoder.text_identity(), encoder.weights_name)
