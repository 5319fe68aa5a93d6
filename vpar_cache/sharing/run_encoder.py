"""Build the encoder whose features a run was trained on."""

from __future__ import annotations

from vpar_cache.backbones.encoder import Encoder
from vpar_cache.backbones.weights import is_weights_file
from vpar_cache.base.callbacks import Say, log
from vpar_cache.base.devices import resolve_device
from vpar_cache.datasets.decoding import preprocessing_identity
from vpar_cache.errors import CacheError, UserError
from vpar_cache.runs.load import LoadedRun

_NEEDED = ("backbone", "weights", "weights_digest", "precision", "normalize", "resize", "frames")


def build_encoder(
    run: LoadedRun,
    *,
    weights: str | None = None,
    device: str = "auto",
    precision: str | None = None,
    offline: bool = False,
    say: Say = log,
) -> Encoder:
    """Return the encoder of a run, without its text encoder.

    `weights`: a file or a tag; None: the tag that the run names. `precision`: None: that of the run. Raises
    UserError where the weights are not those of the run, CacheError where the run does not say what it needs.
    """
    settings = run.encoder
    if missing := [name for name in _NEEDED if name not in settings]:
        raise CacheError(f"model.safetensors of the run does not say {', '.join(missing)}; train the run again")
    weights = weights or _named_weights(str(settings["weights"]))
    say(f"building the encoder {settings['backbone']}, weights {weights}")
    encoder = Encoder(
        str(settings["backbone"]),
        weights,
        device=resolve_device(device),
        precision=precision or str(settings["precision"]),
        normalize=str(settings["normalize"]),
        offline=offline,
        text="none",
    )
    if encoder.visual_digest != settings["weights_digest"]:
        raise UserError(
            f"--weights: got {encoder.weights_name} with digest {encoder.visual_digest}; expected the weights "
            f"of the run, {settings['weights']} with digest {settings['weights_digest']}. Give those"
        )
    if differing := [name for name, value in preprocessing_identity().items() if settings.get(name) != value]:
        say(
            f"the installed libraries read pictures otherwise than those of the run ({', '.join(differing)}): "
            "probabilities may differ slightly"
        )
    if encoder.precision != settings["precision"]:
        say(f"precision {encoder.precision}, the run's features are {settings['precision']}")
    return encoder


def _named_weights(named: str) -> str:
    """Return the weights that a run names. The name of a file is never opened: it comes from a file itself."""
    if is_weights_file(named):
        raise UserError(f"--weights is missing: the run's features were made with the file {named}; give its path")
    return named
