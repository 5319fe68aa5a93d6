"""The checks that depend on the settings of an extraction."""

from __future__ import annotations

from collections.abc import Iterator

from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.held_cache import HeldCache
from vpar_cache.workflows.doctor.check import Check, guarded
from vpar_cache.workflows.doctor.cluster import check_cluster
from vpar_cache.workflows.doctor.data import DataFound, check_data
from vpar_cache.workflows.doctor.disk import check_file_system, check_held, check_room
from vpar_cache.workflows.doctor.machine import check_device, check_precision, check_threads
from vpar_cache.workflows.doctor.weights import EncoderFound, check_encoder

_DEFAULT_IMAGE_SIZE = 224
"""To decode frames in, where no encoder says another size."""


def examine_settings(config: ExtractConfig, has_torch: bool) -> Iterator[Check]:
    """Yield the checks of machine, weights, data and disk. `has_torch`: False leaves out those that need it."""
    encoder: EncoderFound | Check | None = None
    if has_torch:
        devices = [guarded("device", lambda name=name: check_device(name)) for name in config.devices]  # type: ignore[misc]
        yield from devices
        if not any(device.state == "fails" for device in devices):
            yield guarded("precision", lambda: check_precision(config.precision, config.devices[0]))
        yield guarded("threads", check_threads)
        if not any(device.state == "fails" for device in devices):
            encoder = guarded("weights", lambda: check_encoder(config))
            yield from encoder.checks if isinstance(encoder, EncoderFound) else (encoder,)
    sizes = encoder if isinstance(encoder, EncoderFound) else None
    data = DataFound(())
    if config.dataset is not None:
        size = sizes.image_size if sizes else _DEFAULT_IMAGE_SIZE
        found = guarded("dataset", lambda: check_data(config, size))
        data = found if isinstance(found, DataFound) else DataFound((found,))
        yield from data.checks
    held = HeldCache(None)
    if config.dataset is not None:
        cache = guarded("cache", lambda: check_held(config, data.dataset))
        yield cache if isinstance(cache, Check) else cache[0]
        held = held if isinstance(cache, Check) else cache[1]
    yield guarded("disk", lambda: check_room(config, data.dataset, held, sizes))
    yield guarded("file system", lambda: check_file_system(config.out))
    yield check_cluster()
