"""`vpar track`: the people of a video as a box file, without attributes."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.base.checks import check_new_file
from vpar_cache.base.files import atomic_path, partial_path, plain_failures, remove_leftovers
from vpar_cache.base.lock import sole_writer
from vpar_cache.errors import UserError
from vpar_cache.prediction.config import PeopleConfig, PredictConfig, check_no_input
from vpar_cache.prediction.inputs import InputReader, find_box_file, list_inputs
from vpar_cache.prediction.video.boxes import Boxes, box_line, read_followed
from vpar_cache.prediction.video.watch import Watch

_SUFFIXES = (".txt", ".csv")
_SETTINGS = {"frames": 1, "sampling": "uniform", "seed": None}


@dataclass(frozen=True)
class TrackResult:
    """What was found."""

    tracks: int
    boxes: int
    dropped: dict[str, int]
    """Boxes and tracks that are not in the file, by reason."""


def track(
    video: Path,
    out: Path,
    people: PeopleConfig,
    *,
    device: str = "auto",
    offline: bool = False,
    overwrite: bool = False,
    say: Say = log,
    stop: Stop = never,
) -> TrackResult:
    """Find and follow the people of a video, and write their boxes as MOTChallenge text.

    frame,id,left,top,width,height,1,-1,-1,-1 with frames and ids from 1. Tracks of fewer than `people.min_frames`
    boxes, and boxes lower than `people.min_height`, are dropped. The file is empty where
    nobody is left.
    """
    if out.suffix.lower() not in _SUFFIXES:
        raise UserError(f"--out: got {str(out)!r}; expected a name that ends in {' or '.join(_SUFFIXES)}")
    config = PredictConfig(inputs=(video,), people=people, device=device, offline=offline)
    check_new_file("--out", out, overwrite)
    check_no_input("--out", out, config.inputs)
    (given,) = list_inputs(config)
    if not given.is_video:
        raise UserError(f"{video}: got pictures; expected a video or a MOT sequence folder")
    known = find_box_file(given) if people.detector is None else None
    if known is not None and known.are_tracked:
        raise UserError(f"{video}: has tracks in gt/gt.txt already; give --detector to find its people again")
    followed = partial_path(out)
    with ExitStack() as stack:
        stack.enter_context(sole_writer(out, say))
        with plain_failures(out):
            remove_leftovers(out)
        stack.callback(followed.unlink, missing_ok=True)
        watch = stack.enter_context(Watch("track", stop))
        reader = InputReader(
            config, _SETTINGS, 1, lambda name, reason: say(f"{name}: {reason}"), say, followed, watch.on_frame
        )
        for _ in reader.tracks(given):
            pass
        boxes = read_followed(followed)
        kept = _kept(boxes, people)  # (k,)
        with atomic_path(out) as partial, partial.open("w", encoding="utf-8") as file:
            for row in kept.tolist():
                file.write(box_line(int(boxes.frame[row]), int(boxes.track_id[row]), boxes.ltwh[row]))
    return TrackResult(
        len(np.unique(boxes.track_id[kept])), len(kept), {k: v for k, v in reader.counts.dropped.items() if v}
    )


def _kept(boxes: Boxes, people: PeopleConfig) -> NDArray[np.intp]:
    """Return the places (k,) of the boxes that are within the limits."""
    high = boxes.ltwh[:, 3] >= people.min_height  # (n,)
    counts = Counter(boxes.track_id[high].tolist())
    long = np.array([counts[number] >= people.min_frames for number in boxes.track_id.tolist()], bool)  # (n,)
    return np.flatnonzero(high & long)  # (k,)
