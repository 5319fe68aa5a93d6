"""`vpar track`: the people of a video as a box file, without attributes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vpar_cache.base.callbacks import Say, Stop, check_stop, log, never
from vpar_cache.base.checks import check_new_file
from vpar_cache.base.files import atomic_path, partial_path
from vpar_cache.base.progress import progress
from vpar_cache.errors import DataError, UserError
from vpar_cache.prediction.config import PeopleConfig, PredictConfig
from vpar_cache.prediction.inputs import InputReader, find_box_file, list_inputs
from vpar_cache.prediction.video.boxes import box_line, read_boxes
from vpar_cache.prediction.video.frames import open_frames

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
    boxes, and boxes lower than `people.min_height`, are dropped. Raises DataError for a video without people.
    """
    check_new_file("--out", out, overwrite)
    config = PredictConfig(inputs=(video,), people=people, device=device, offline=offline)
    (given,) = list_inputs(config)
    if not given.is_video:
        raise UserError(f"{video}: got pictures; expected a video or a MOT sequence folder")
    known = find_box_file(given) if people.detector is None else None
    if known is not None and known.are_tracked:
        raise UserError(f"{video}: has tracks in gt/gt.txt already; give --detector to find its people anew")
    followed = partial_path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with progress(total=open_frames(video).length, unit="frame", desc="track") as bar:

            def on_frame() -> None:
                check_stop(stop)
                bar.update()

            reader = InputReader(
                config, _SETTINGS, 1, lambda name, reason: say(f"{name}: {reason}"), say, followed, on_frame
            )
            for _ in reader.tracks(given):
                pass
        if not followed.is_file() or not followed.stat().st_size:
            raise DataError(f"{video}: no person was found; lower --min-score, or use another --detector")
        boxes = read_boxes(followed)
    finally:
        followed.unlink(missing_ok=True)
    high = boxes.ltwh[:, 3] >= people.min_height  # (n,)
    counts = Counter(boxes.track_id[high].tolist())
    long = np.array([counts[number] >= people.min_frames for number in boxes.track_id.tolist()])  # (n,)
    kept = np.flatnonzero(high & long)  # (k,)
    with atomic_path(out) as partial, partial.open("w", encoding="utf-8") as file:
        for row in kept.tolist():
            file.write(box_line(int(boxes.frame[row]), int(boxes.track_id[row]), boxes.ltwh[row]))
    return TrackResult(
        len(np.unique(boxes.track_id[kept])), len(kept), {k: v for k, v in reader.counts.dropped.items() if v}
    )
