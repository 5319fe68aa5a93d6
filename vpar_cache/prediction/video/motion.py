"""Find people of a fixed camera by what moves: no weights, no training. Misses who stands still."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.errors import UserError
from vpar_cache.prediction.video.frames import Frame

_HISTORY = 300
"""Frames that make the background."""
_WARM_UP = 5
"""Frames at the beginning in which everything moves."""
_FILL = 0.3
"""Share of a box that must move."""
_UPRIGHT = (0.9, 5.0)
"""A person's height is so many times the width."""


class MotionDetector:
    """Background subtraction (Zivkovic's mixture of Gaussians, as OpenCV has it) and upright blobs."""

    def __init__(self, min_height: float) -> None:
        """`min_height`: of a person, in pixels."""
        self._cv2 = import_cv2()
        self._background = self._cv2.createBackgroundSubtractorMOG2(history=_HISTORY, detectShadows=True)
        self._min_height = min_height
        self._seen = 0

    def find(self, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return boxes (n, 4), left, top, width, height in pixels, and confidences (n,)."""
        cv2 = self._cv2
        moves = self._background.apply(frame.picture)  # (H, W) 0, 127 for shadows, 255
        self._seen += 1
        if self._seen <= _WARM_UP:
            return np.empty((0, 4)), np.empty(0)
        mask = np.where(moves == 255, 255, 0).astype(np.uint8)  # (H, W)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))  # (H, W)
        # A person comes apart at the belt and the knees: joined over a height, less over a width.
        tall = max(3, int(self._min_height / 4)) | 1
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((tall, max(3, tall // 3) | 1), np.uint8))  # (H, W)
        _, _, blobs, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)  # (b, 5): box and pixels
        boxes, scores = [], []
        for left, top, width, height, pixels in blobs[1:].tolist():
            fill = pixels / (width * height)
            if height >= self._min_height and _UPRIGHT[0] <= height / width <= _UPRIGHT[1] and fill >= _FILL:
                boxes.append([left, top, width, height])
                scores.append(min(1.0, 0.6 + 0.4 * fill))
        return np.array(boxes, float).reshape(-1, 4), np.array(scores)


def import_cv2() -> Any:
    """Return OpenCV, which the package trackers brings. Raises UserError where it is missing."""
    try:
        import cv2
    except ImportError as error:
        raise UserError(
            f"--detector motion needs OpenCV ({error}); install it with `pip install 'vpar-cache[video]'`; "
            "a machine without libGL needs opencv-python-headless in place of opencv-python"
        ) from error
    return cv2
