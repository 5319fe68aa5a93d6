"""From a video to the tracks of its people: one decoding pass, memory that does not grow with its length."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.checks import check_between
from vpar_cache.errors import DataError
from vpar_cache.prediction.tracks import Crop, Track, Window, text_of
from vpar_cache.prediction.video.best_frames import BestFrames, cut_out, quality
from vpar_cache.prediction.video.boxes import Boxes
from vpar_cache.prediction.video.frames import Frame, FrameSource

Found = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Track numbers (n,) and boxes (n, 4) in one frame, left, top, width, height in pixels."""


@dataclass(frozen=True, kw_only=True)
class TrackLimits:
    """Which boxes and tracks are used."""

    min_frames: int = 5
    """A track with fewer boxes is dropped."""
    min_height: float = 32
    """Boxes that are lower, in pixels, are dropped."""

    def __post_init__(self) -> None:
        check_between("--min-frames", self.min_frames, 1, 1_000_000)
        check_between("--min-height", self.min_height, 1, 100_000)


@dataclass(frozen=True, kw_only=True)
class TrackRules(TrackLimits):
    """Which tracks are used, and how much of them."""

    num_frames: int
    """T: the frames that are kept of a track."""
    window_seconds: float | None = None
    """Also keep T frames of each part of a track that is so long."""


@dataclass
class VideoCounts:
    """What was read, and what was left out."""

    frames: int = 0
    boxes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """By reason."""
    track_seconds: float = 0.0
    decode_seconds: float = 0.0


def tracks_of_boxes(
    video: FrameSource,
    boxes: Boxes,
    name: str,
    rules: TrackRules,
    counts: VideoCounts,
    on_frame: Callable[[], None] = lambda: None,
) -> Iterator[Track | Window]:
    """Yield the tracks of a box file, each as soon as its last frame was read.

    `on_frame`: called in each frame. Boxes without a track are counted and left out. Raises DataError where the
    boxes are those of another video.
    """
    check_fits(video, boxes)
    last = boxes.last_frames()
    places = dict(boxes.by_frame())

    def find(frame: Frame) -> tuple[Found, list[int]]:
        on_frame()
        place = places.pop(frame.number, slice(0, 0))
        ids, ltwh = boxes.track_id[place], boxes.ltwh[place]  # (n,), (n, 4)
        tracked = ids >= 0  # (n,)
        if loose := int((~tracked).sum()):
            counts.dropped["box without a track among boxes with one"] += loose
        ids = ids[tracked]  # (m,)
        return (ids, ltwh[tracked]), [track for track in ids.tolist() if last[track] <= frame.number]

    yield from follow(video, find, name, rules, counts)
    if places:
        missing = sum(place.stop - place.start for place in places.values())
        counts.dropped["box in a frame that the video lacks"] += missing


def check_fits(video: FrameSource, boxes: Boxes) -> None:
    """Raise DataError where the boxes are those of another video: longer, or of larger pictures."""
    first = next(iter(video.frames()))
    height, width = first.picture.shape[:2]
    middle = boxes.ltwh[:, :2] + boxes.ltwh[:, 2:] / 2  # (n, 2)
    outside = ((middle < 0) | (middle > (width, height))).any(axis=1).mean()
    if outside > 0.1:
        raise DataError(
            f"{boxes.path}: {outside:.0%} of its boxes lie outside the {width} x {height} pictures of "
            f"{video.path}; expected the boxes of this video"
        )
    if video.length and int(boxes.frame.max()) > 1.01 * video.length + 1:
        raise DataError(
            f"{boxes.path}: its last box is in frame {boxes.frame.max()}, but {video.path} has {video.length} "
            "frames; expected the boxes of this video"
        )


def follow(
    video: FrameSource,
    find: Callable[[Frame], tuple[Found, list[int]]],
    name: str,
    rules: TrackRules,
    counts: VideoCounts,
) -> Iterator[Track | Window]:
    """Yield each track once it is closed. `find` returns the people of a frame, and the tracks that end there."""
    people: dict[int, _OpenTrack] = {}
    started = time.monotonic()
    for frame in video.frames():
        counts.decode_seconds += time.monotonic() - started
        counts.frames += 1
        started = time.monotonic()
        (ids, ltwh), ended = find(frame)
        counts.track_seconds += time.monotonic() - started
        counts.boxes += len(ids)
        for place, track_id in enumerate(ids.tolist()):
            if track_id not in people:
                people[track_id] = _OpenTrack(track_id, f"{name}/{track_id}", text_of(video.path), rules)
            others = np.delete(ltwh, place, axis=0)  # (n - 1, 4)
            if reason := people[track_id].add(frame, ltwh[place], others):
                counts.dropped[reason] += 1
            yield from people[track_id].closed_windows(frame.second)
        for track_id in ended:
            yield from _close(people, track_id, rules, counts)
        started = time.monotonic()
    for track_id in list(people):
        yield from _close(people, track_id, rules, counts)


def _close(
    people: dict[int, _OpenTrack], track_id: int, rules: TrackRules, counts: VideoCounts
) -> Iterator[Track | Window]:
    track = people.pop(track_id, None)
    if track is None:
        return
    if track.count < rules.min_frames:
        counts.dropped[f"track of fewer than {rules.min_frames} boxes"] += 1
        return
    yield from track.closed_windows(None)
    yield track.close()


class _OpenTrack:
    """A person who may be seen again."""

    def __init__(self, track_id: int, tracklet_id: str, source: str, rules: TrackRules) -> None:
        self._track_id, self._tracklet_id, self._source, self._rules = track_id, tracklet_id, source, rules
        self._best = BestFrames(rules.num_frames)
        self._window: BestFrames | None = None
        self._window_times = [0, 0, 0.0, 0.0]
        self._first = self._last = (0, 0.0)
        self.count = 0

    def add(self, frame: Frame, box: NDArray[np.float64], others: NDArray[np.float64]) -> str:
        """Take in a box (4,) of a frame with others (m, 4); return why it is dropped, "" where it is used."""
        if box[3] < self._rules.min_height:
            return f"box lower than {self._rules.min_height:g} pixels"
        picture = cut_out(frame.picture, box)  # (h, w, 3)
        if picture is None:
            return "box outside the picture"
        height, width = frame.picture.shape[:2]
        seen = np.minimum(box[:2] + box[2:], (width, height)) - np.maximum(box[:2], 0)  # (2,)
        found = quality(picture, box, others, float(seen.prod() / box[2:].prod()))
        crop = Crop(picture, frame.number, frame.second)
        self._first = self._first if self.count else (frame.number, frame.second)
        self._last = frame.number, frame.second
        self.count += 1
        self._best.add(crop, found)
        if self._rules.window_seconds is not None:
            if self._window is None:
                self._window = BestFrames(self._rules.num_frames)
                self._window_times[0::2] = [frame.number, frame.second]
            self._window.add(crop, found)
            self._window_times[1::2] = [frame.number, frame.second]
        return ""

    def closed_windows(self, now: float | None) -> Iterator[Window]:
        """Yield the window that is over at this time; None: the one that is open."""
        length = self._rules.window_seconds
        if self._window is None or length is None:
            return
        first, last, first_second, last_second = self._window_times
        if now is None or now - first_second >= length:
            crops, self._window = self._window.crops(), None
            yield Window(self._tracklet_id, crops, int(first), int(last), first_second, last_second)

    def close(self) -> Track:
        """Return the track."""
        return Track(
            tracklet_id=self._tracklet_id,
            source=self._source,
            crops=self._best.crops(),
            track_id=self._track_id,
            first_frame=self._first[0],
            last_frame=self._last[0],
            first_second=self._first[1],
            last_second=self._last[1],
        )
