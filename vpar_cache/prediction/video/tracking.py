"""Follow people from frame to frame, with the trackers of the package trackers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.checks import check_choice
from vpar_cache.errors import UserError

TRACKERS = ("bytetrack", "ocsort")
_LOST_SECONDS = 1.0
"""A person who is not seen for so long is another one when they come back."""


class Tracker:
    """Gives boxes the numbers of tracks, from 1 in the order in which people are first seen."""

    def __init__(self, name: str, rate: float) -> None:
        """`name`: bytetrack (Zhang et al., 2022) or ocsort (Cao et al., 2023). `rate`: frames per second."""
        check_choice("--tracker", name, TRACKERS)
        try:
            import supervision
            import trackers
        except ImportError as error:
            raise UserError(
                f"--tracker {name}: the package trackers cannot be imported ({error}); install it with "
                "`pip install 'vpar-cache[video]'` (without libGL: opencv-python-headless in place of "
                "opencv-python), or give a box file with track numbers"
            ) from error
        self._detections = supervision.Detections
        kind = trackers.ByteTrackTracker if name == "bytetrack" else trackers.OCSORTTracker
        self._lost_frames = max(1, round(_LOST_SECONDS * rate))
        # The buffer of trackers is counted at 30 frames a second.
        self._tracker: Any = kind(lost_track_buffer=round(30 * _LOST_SECONDS), frame_rate=rate)
        self._numbers: dict[int, int] = {}
        self._last_seen: dict[int, int] = {}

    def update(
        self, frame: int, ltwh: NDArray[np.float64], confidence: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], list[int]]:
        """Return numbers (m,) and boxes (m, 4) of who is followed in this frame, and the tracks that ended."""
        corners = np.concatenate([ltwh[:, :2], ltwh[:, :2] + ltwh[:, 2:]], axis=1)  # (n, 4)
        given = self._detections(xyxy=corners.reshape(-1, 4), confidence=confidence)
        found = self._tracker.update(given)
        ids = np.array([] if found.tracker_id is None else found.tracker_id, np.int64)  # (n,)
        corners = np.asarray(found.xyxy, float).reshape(-1, 4)[ids >= 0]  # (m, 4)
        numbers = [self._numbers.setdefault(id, len(self._numbers) + 1) for id in ids[ids >= 0].tolist()]
        self._last_seen |= dict.fromkeys(numbers, frame)
        ended = [number for number, last in self._last_seen.items() if frame - last > self._lost_frames + 1]
        for number in ended:
            del self._last_seen[number]
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)  # (m, 4)
        return np.array(numbers, np.int64), boxes, ended
