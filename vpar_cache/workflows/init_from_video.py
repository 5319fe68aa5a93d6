"""`vpar init --video`: cuts the people of videos into the folder of a dataset, as they would be predicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vpar_cache.base.checks import check_whole
from vpar_cache.base.progress import progress
from vpar_cache.datasets.own.crops import crop_folder
from vpar_cache.errors import DataError, UserError, count_of, counted
from vpar_cache.prediction.tracks import Track
from vpar_cache.prediction.video.boxes import Boxes, read_boxes
from vpar_cache.prediction.video.frames import open_frames
from vpar_cache.prediction.video.source import TrackRules, VideoCounts, tracks_of_boxes

CROPS = "crops"
"""The folder of a dataset that holds a folder for each video."""


@dataclass(frozen=True)
class TrackedVideo:
    """A video or a MOT sequence folder, and the box file of a tracker."""

    video: Path
    boxes: Path


def cut_videos(
    root: Path, videos: Sequence[TrackedVideo], rules: TrackRules, say: Callable[[str], None] = print
) -> None:
    """Write ROOT/crops/VIDEO/TRACK/FRAME.jpg for the best frames of each track, as a prediction takes them.

    A video whose folder is there already is refused before any is read: its crops may have labels. Raises
    UserError for that and for limits out of range, DataError for a video or a box file that cannot be read.
    """
    check_whole("--frames", rules.num_frames, 1, 1000)
    names = Counter(_name(given) for given in videos)
    for given in videos:
        name = _name(given)
        folder = root / CROPS / name
        if names[name] > 1:
            raise UserError(
                f"--video: got {names[name]} videos named {name}; expected a name for each. Rename one"
            )
        if folder.exists():
            raise UserError(f"--video: {given.video}: {folder} exists already. Remove it, or rename the video")
    for given in videos:
        _cut(given, root / CROPS / _name(given), rules, say)


def _name(given: TrackedVideo) -> str:
    return given.video.resolve().stem


def _cut(given: TrackedVideo, folder: Path, rules: TrackRules, say: Callable[[str], None]) -> None:
    video, boxes, counts = open_frames(given.video), _tracked(given.boxes), VideoCounts()
    tracks = crops = 0
    with (
        crop_folder(folder) as write,
        progress(total=int(boxes.frame.max()), unit="frame", desc=f"cut {given.video.name}") as bar,
    ):
        for track in tracks_of_boxes(video, boxes, _name(given), rules, counts):
            bar.update(counts.frames - bar.n)
            if isinstance(track, Track) and track.track_id is not None:
                tracks += 1
                for crop in track.crops:
                    write(track.track_id, crop.frame or 0, crop.picture)  # (h, w, 3)
                    crops += 1
        if not tracks:
            left_out = "; ".join(f"{reason}: {count}" for reason, count in counts.dropped.items())
            raise DataError(f"{given.boxes}: no track is left ({left_out}). Lower --min-frames or --min-height")
    say(f"{given.video}: {counted(crops, 'crop', 'crops')} of {count_of(tracks, 'track')} in {folder}")
    for reason, count in sorted(counts.dropped.items()):
        say(f"{given.video}: left out: {reason}: {count}")
    for note in (*video.notes, *boxes.notes):
        say(f"{given.video}: {note}")


def _tracked(path: Path) -> Boxes:
    """Return the boxes that belong to a track."""
    boxes = read_boxes(path)
    if not boxes.are_tracked:
        raise DataError(
            f"{path}: got boxes without track ids; expected those of a tracker. Give its file, or that of `vpar "
            "track VIDEO --out boxes.txt`"
        )
    kept = boxes.track_id >= 0  # (n,)
    without = int((~kept).sum())
    return replace(
        boxes,
        frame=boxes.frame[kept],  # (n kept,)
        track_id=boxes.track_id[kept],  # (n kept,)
        ltwh=boxes.ltwh[kept],  # (n kept, 4)
        confidence=boxes.confidence[kept],  # (n kept,)
        notes=[*boxes.notes, *([f"boxes without a track id, left out: {without}"] if without else [])],
    )
