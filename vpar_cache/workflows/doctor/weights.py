"""Whether the weights of the backbone are here, whether they fit, and whether the encoder computes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import build_encoder
from vpar_cache.workflows.doctor.check import Check

if TYPE_CHECKING:
    from vpar_cache.backbones.hub import NotHereError

HUB_SECONDS = 3.0
"""That the model hub may take to answer."""
_VARIABLES = ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TORCH_HOME")


@dataclass(frozen=True)
class EncoderFound:
    """What was found, and what an encoder of this architecture makes of a frame."""

    checks: tuple[Check, ...]
    num_tokens: int
    dim: int
    image_size: int


def check_encoder(config: ExtractConfig) -> EncoderFound:
    """Load the weights from this machine, build the encoder and encode a black frame.

    Where the weights are not here, random ones stand in for them, to know the encoder's sizes. Raises UserError
    for an unknown backbone, and for weights that do not fit.
    """
    from vpar_cache.backbones.hub import NotHereError  # it imports torch

    standing_in = ""
    try:
        encoder = build_encoder(replace(config, offline=True))
        weights = _found(config, encoder.weights_name)
    except NotHereError as error:
        weights = _missing(config, error)
        encoder = build_encoder(replace(config, weights="random:0", offline=True))
        standing_in = ", with random weights in their place"
    size = encoder.image_size
    started = time.monotonic()
    encoder.encode_frames(np.zeros((1, 1, size, size, 3), np.uint8))  # (1, 1, S, S, 3)
    seconds = time.monotonic() - started
    shown = f"{encoder.backbone} on {encoder.device} in {encoder.precision}{standing_in}"
    made = f"a first frame took {seconds:.2g} s and became {encoder.num_tokens} tokens of {encoder.dim} numbers"
    notes = "".join(f"; {note}" for note in encoder.notes)
    computes = Check("encoder", "ok", f"{shown}: {made}{notes}")
    return EncoderFound((weights, computes), encoder.num_tokens, encoder.dim, size)


def _found(config: ExtractConfig, name: str) -> Check:
    from vpar_cache.backbones.hub import hub_settings

    if name.startswith("random:"):
        return Check("weights", "warning", f"{name}: no trained weights, so features and scores have no meaning")
    if config.weights and Path(config.weights).is_file():
        return Check("weights", "ok", f"{config.weights} fits the backbone (read as {name})")
    return Check("weights", "ok", f"{name}: in the cache of the model hub ({hub_settings().cache})")


def _missing(config: ExtractConfig, error: NotHereError) -> Check:
    """Return the check for weights that are not here: asks the hub, unless it is not to be asked."""
    from vpar_cache.backbones.hub import hub_problem, hub_settings

    hub = hub_settings()
    asked = config.weights or "the default weights"
    here = f"{asked} of {config.backbone} are not on this machine ({_variables()}looked in {hub.cache})"
    other_ways = (
        "give a local file with --weights FILE.safetensors, copy that folder from a machine that has them, or try "
        "the program with --weights random:0 (features without meaning)"
    )
    if config.offline or hub.is_offline:
        why = "--offline" if config.offline else "an environment variable"
        return Check("weights", "fails", f"{here}, and {why} forbids to fetch them: allow it, {other_ways}")
    if not error.on_hub:
        return Check(
            "weights", "warning", f"{here}; they come from another server than the hub, which was not asked"
        )
    if problem := hub_problem(hub.address, HUB_SECONDS):
        return Check("weights", "fails", f"{here}, and {hub.address} cannot be reached ({problem}): {other_ways}")
    return Check("weights", "ok", f"{here}; {hub.address} answers, so the first run fetches them")


def _variables() -> str:
    found = [f"{name}={os.environ[name]}, " for name in _VARIABLES if os.environ.get(name)]
    return "".join(found)
