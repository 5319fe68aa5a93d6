"""Find people in a picture with a detection model of torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from vpar_cache.backbones.detection import DEFAULT_DETECTOR, load_detector
from vpar_cache.errors import UserError
from vpar_cache.prediction.video.frames import Frame
from vpar_cache.prediction.video.motion import MotionDetector

MOTION = "motion"
_PERSON = 1
"""The class of a person in COCO."""


class Detector(Protocol):
    """Finds people."""

    def find(self, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return boxes (n, 4), left, top, width, height in pixels, and confidences (n,)."""


def make_detector(
    name: str, weights: Path | None, device: torch.device, min_height: float, min_score: float, offline: bool
) -> Detector:
    """Return `motion`, or torchvision:NAME with weights from a file or from the hub's cache. Raises UserError."""
    if name == MOTION:
        if weights is not None:
            raise UserError("--detector-weights: --detector motion has no weights; leave one of them out")
        return MotionDetector(min_height)
    return TorchvisionDetector(load_detector(name, weights, offline), device, min_score)


class TorchvisionDetector:
    """A detection model: every box of class person above a score."""

    def __init__(self, model: Any, device: torch.device, min_score: float) -> None:
        self._model, self._device, self._min_score = model.to(device).eval(), device, min_score

    @torch.inference_mode()
    def find(self, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See Detector."""
        pixels = torch.tensor(frame.picture).to(self._device)  # (H, W, 3), a copy: a picture may be read-only
        (found,) = self._model([pixels.permute(2, 0, 1).float() / 255])  # of (3, H, W)
        kept = (found["labels"] == _PERSON) & (found["scores"] >= self._min_score)  # (n,)
        corners = found["boxes"][kept].cpu().numpy().astype(np.float64)  # (m, 4)
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)  # (m, 4)
        return boxes, found["scores"][kept].cpu().numpy().astype(np.float64)  # (m, 4), (m,)


__all__ = ["DEFAULT_DETECTOR", "MOTION", "Detector", "TorchvisionDetector", "make_detector"]
