"""Detection models of torchvision, with weights from a file or from torch's hub folder; no code of a file runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from vpar_cache.backbones.weights import load_weights
from vpar_cache.errors import UserError, nearest

DEFAULT_DETECTOR = "torchvision:fasterrcnn_mobilenet_v3_large_fpn"
_WAYS = (
    "give a box file (`vpar predict --boxes`), the weights (--detector-weights), "
    "or --detector motion for a fixed camera"
)


def load_detector(name: str, weights: Path | None, offline: bool) -> Any:
    """Return a model that maps a list of pictures (3, H, W) to boxes, labels of COCO and scores.

    `name`: torchvision:NAME. Raises UserError for an unknown name, and where the weights cannot be had.
    """
    from torchvision import models

    library, _, architecture = name.partition(":")
    known = list(models.list_models(module=models.detection))
    if library != "torchvision" or architecture not in known:
        valid = ["motion", *(f"torchvision:{known}" for known in known)]
        raise UserError(f"--detector: got {name!r}, which is unknown; {nearest(name, valid)}")
    published = models.get_model_weights(architecture).DEFAULT
    classes = len(published.meta["categories"])
    model = models.get_model(architecture, weights=None, weights_backbone=None, num_classes=classes)
    path = weights or _from_hub(name, published.url, offline)
    try:
        load_weights(model, path, name)
    except UserError as error:  # the same loader as for backbones, which have other options
        text = str(error).replace("--weights", "--detector-weights").replace("--backbone", "--detector")
        raise UserError(text) from error
    return model.eval().requires_grad_(False)


def _from_hub(name: str, url: str, offline: bool) -> Path:
    """Return the file in torch's hub folder; download it unless `offline`."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.is_file():
        return path
    if offline:
        raise UserError(f"--detector: the weights of {name} are not on this machine ({path}); {_WAYS}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = path.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest)
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"--detector: the weights of {name} cannot be downloaded ({str(error)[:100]}); {_WAYS}"
        ) from error
    return path
