"""What an input is, and its tracks: pictures, a folder of them, a video, a MOT sequence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.devices import resolve_device
from vpar_cache.base.files import plain_failures
from vpar_cache.cache.format import follow_link
from vpar_cache.errors import DataError, UserError, count_of
from vpar_cache.prediction.config import PredictConfig
from vpar_cache.prediction.pictures import is_picture, list_pictures, picture_tracks, read_picture
from vpar_cache.prediction.tracks import Crop, Track, Window, text_of
from vpar_cache.prediction.video.best_frames import cut_out
from vpar_cache.prediction.video.boxes import Boxes, box_line, read_boxes
from vpar_cache.prediction.video.detectors import MOTION, Detector, make_detector
from vpar_cache.prediction.video.frames import Frame, FrameSource, is_sequence, open_frames
from vpar_cache.prediction.video.source import Found, TrackRules, VideoCounts, follow, tracks_of_boxes
from vpar_cache.prediction.video.tracking import Tracker


@dataclass(frozen=True)
class Input:
    """One input of a call."""

    path: Path
    name: str
    """As in tracklet ids: unique in the call."""
    is_video: bool
    boxes: Path | None = None


def list_inputs(config: PredictConfig) -> list[Input]:
    """Return the inputs with their box files. Raises UserError where these do not fit together."""
    videos = [path for path in config.inputs if _is_video(path)]
    if config.boxes and len(config.boxes) != len(videos):
        raise UserError(
            f"--boxes: got {count_of(len(config.boxes), 'file')} for {count_of(len(videos), 'video')}; expected "
            "one for each, in their order"
        )
    pictures = [path for path in config.inputs if not _is_video(path)]
    if config.windows is not None and not videos:
        raise UserError(
            "--windows: got no video among the inputs; only tracks of a video have parts. Leave it out"
        )
    if config.one_person and not any(path.is_dir() for path in pictures):
        raise UserError("--one-person: got no folder of pictures among the inputs; expected one. Leave it out")
    if config.people.detector == MOTION and pictures:
        raise UserError(
            f"--detector motion needs a video, {pictures[0]} is pictures; predict pictures by themselves, or use "
            "torchvision:NAME"
        )
    if config.annotate is not None and len(videos) != 1:
        raise UserError(f"--annotate: got {len(videos)} videos among the inputs; expected one. Name one alone")
    boxes = iter(config.boxes)
    taken: set[str] = set()
    found: list[Input] = []
    for path in config.inputs:
        name = text_of(Path(path.name or path))
        spare = (name if number == 1 else f"{name}-{number}" for number in count(1))
        unique = next(other for other in spare if other not in taken)
        taken.add(unique)
        is_video = _is_video(path)
        found.append(Input(path, unique, is_video, next(boxes, None) if is_video else None))
    return found


def _is_video(path: Path) -> bool:
    return is_sequence(path) if path.is_dir() else not is_picture(path)


class InputReader:
    """Yields the tracks of inputs; counts what it reads and leaves out."""

    def __init__(
        self,
        config: PredictConfig,
        settings: dict[str, Any],
        num_frames: int,
        leave_out: Callable[[str, str], None],
        say: Callable[[str], None],
        boxes_out: Path | None = None,
        on_frame: Callable[[FrameSource], None] = lambda video: None,
    ) -> None:
        """`settings`: of the run's cache. `num_frames`: T. `leave_out`: called with a name and the reason.
        `boxes_out`: where the boxes of people that a tracker follows are written.
        `on_frame`: called with the video in each of its frames; what it raises ends the reading.
        """
        self._config, self._settings, self._leave_out, self._say = config, settings, leave_out, say
        self._rules = TrackRules(
            num_frames=num_frames,
            min_frames=config.people.min_frames,
            min_height=config.people.min_height,
            window_seconds=config.windows,
        )
        self._detector: Detector | None = None
        self.counts = VideoCounts()
        self._boxes_out, self._on_frame = boxes_out, on_frame

    def tracks(self, given: Input) -> Iterator[Track | Window]:
        """Yield the people of one input. Raises DataError or UserError for one that cannot be read."""
        if not given.is_video:
            if self._config.people.detector is not None:
                yield from self._people_of_pictures(given)
            else:
                one_person = self._config.one_person
                yield from picture_tracks(given.path, self._settings, one_person, self._leave_out, self._on_other)
            return
        video = open_frames(given.path)
        boxes = find_box_file(given) if self._config.people.detector is None else None
        if boxes is not None and boxes.are_tracked:
            on_frame = partial(self._on_frame, video)
            yield from tracks_of_boxes(video, boxes, given.name, self._rules, self.counts, on_frame)
        else:
            yield from self._followed(given, video, boxes)
        for note in (*video.notes, *(boxes.notes if boxes is not None else ())):
            self._say(f"{given.path}: {note}")

    def _followed(self, given: Input, video: FrameSource, boxes: Boxes | None) -> Iterator[Track | Window]:
        """Find people, or take the boxes that belong to no track, and follow them."""
        tracker = Tracker(self._config.people.tracker, video.rate)
        detector = None if boxes is not None else self._get_detector()
        places = {} if boxes is None else dict(boxes.by_frame())

        def find(frame: Frame) -> tuple[Found, list[int]]:
            self._on_frame(video)
            if detector is not None:
                ltwh, confidence = detector.find(frame)  # (n, 4), (n,)
            else:
                assert boxes is not None
                place = places.get(frame.number, slice(0, 0))
                ltwh, confidence = boxes.ltwh[place], boxes.confidence[place]  # (n, 4), (n,)
            ids, followed, ended = tracker.update(frame.number, ltwh, confidence)
            if file is not None:
                with plain_failures(Path(file.name)):
                    file.write("".join(box_line(frame.number, *row) for row in zip(ids, followed, strict=True)))
                    file.flush()
            return (ids, followed), ended

        with ExitStack() as stack:
            file = None if self._boxes_out is None else stack.enter_context(self._boxes_out.open("w"))
            yield from follow(video, find, given.name, self._rules, self.counts)

    def _on_other(self, file: Path) -> None:
        self.counts.dropped[f"file that is no picture ({file.suffix or 'no ending'})"] += 1

    def _people_of_pictures(self, given: Input) -> Iterator[Track | Window]:
        """Yield the people that a detector finds in pictures of scenes."""
        for _, files in list_pictures(given.path, self._leave_out, self._on_other):
            for file in files:
                try:
                    picture = read_picture(follow_link(file) if file == given.path else file)  # (H, W, 3)
                except DataError as error:
                    self._leave_out(str(file), str(error))
                    continue
                yield from self._people_of_picture(picture, text_of(file), given)

    def _people_of_picture(self, picture: NDArray[np.uint8], name: str, given: Input) -> Iterator[Track]:
        """Yield the people of one scene (H, W, 3)."""
        boxes, _ = self._get_detector().find(Frame(1, 0.0, picture))  # (n, 4)
        if not len(boxes):
            self.counts.dropped["picture in which nobody was found"] += 1
        for number, box in enumerate(boxes, 1):
            crop = cut_out(picture, box)  # (h, w, 3)
            if crop is None or box[3] < self._rules.min_height:
                self.counts.dropped[f"box lower than {self._rules.min_height:g} pixels"] += 1
                continue
            yield Track(f"{name}/{number}", text_of(given.path), (Crop(crop),), track_id=number)

    def _get_detector(self) -> Detector:
        if self._detector is None or self._config.people.detector == MOTION:  # which knows one background
            people = self._config.people
            started = time.monotonic()
            self._detector = make_detector(
                people.detector_name,
                people.detector_weights,
                resolve_device(self._config.device),
                people.min_height,
                people.min_score,
                self._config.offline,
            )
            self._say(f"detector {people.detector_name}, built in {time.monotonic() - started:.1f} s")
        return self._detector


def find_box_file(given: Input) -> Boxes | None:
    """Return the boxes of a video: those that were given, or of a sequence gt/gt.txt or det/det.txt."""
    if given.boxes is not None:
        return read_boxes(follow_link(given.boxes))
    if given.path.is_dir():
        for name in ("gt/gt.txt", "det/det.txt"):
            if (given.path / name).is_file():
                return read_boxes(given.path / name)
    return None
