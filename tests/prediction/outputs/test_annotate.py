"""The annotated video: the frames and times of the original, a box and one answer for each track."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageFont

from tests.prediction.outputs.test_gallery import ANSWERING, person
from tests.support.videos import Person, picture, write_boxes, write_video
from vpar_cache.errors import Stopped
from vpar_cache.prediction.outputs.annotate import Label, annotate, draw_people, label_of
from vpar_cache.prediction.rows import Segment
from vpar_cache.prediction.video.boxes import read_boxes
from vpar_cache.prediction.video.frames import Frame, open_frames

PEOPLE = [Person(1, 1, 12, 20, 60), Person(2, 1, 12, 200, 60)]


@pytest.mark.parametrize("size", [(320, 180), (318, 182)])
def test_frames_and_times_stay_and_only_kept_tracks_get_a_box(size: tuple[int, int], tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 0.5, 0.6, 0.7, 0.8, 1.9, 2.0, 2.1, 2.2, 2.3]
    video = open_frames(write_video(tmp_path / "a.mp4", PEOPLE, frames=12, size=size, seconds=times))
    boxes = read_boxes(write_boxes(tmp_path / "b.txt", PEOPLE))
    label = label_of(person(1, {"gender": 0}), ANSWERING)
    assert annotate(video, boxes, {1: label}, "", tmp_path / "out.mp4") == 12
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        frames = list(container.decode(stream))
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=2e-3)
    for number, frame in enumerate(frames, 1):
        difference = abs(frame.to_ndarray(format="rgb24").astype(float) - picture(PEOPLE, number, size)).mean(
            axis=2
        )
        assert difference[:, :150].max() > 90, "the first person has a box"
        assert difference[:, 210:].mean() < 10, "the second was dropped"


def test_a_label_is_short_and_tells_segments_at_their_time() -> None:
    row = person(7, {"gender": 0, "backpack": 0}, segments=(Segment("motion", "running", 0.7, 1, 9, 0.0, 1.0),))
    label = label_of(row, ANSWERING)
    assert "motion running" in "\n".join(label.lines(0.5))
    assert "motion" not in "\n".join(label.lines(2.0))
    assert label.lines(2.0)[0] == "7"
    long = Label(1, tuple(f"attribute number {n}" for n in range(30)), ())
    assert len(long.lines(0)) <= 4
    assert all(len(line) <= 45 for line in long.lines(0))
    told, left_out = ", ".join(long.lines(0)[1:]).rsplit(", ", 1)
    assert told.split(", ") == list(long.words[: len(told.split(", "))]), "no word is cut"
    assert left_out == f"{30 - len(told.split(', '))} more"


def test_what_a_person_carries_stands_before_choices_and_one_of_two() -> None:
    row = person(1, {group.name: 0 for group in ANSWERING.schema.groups})
    words = label_of(row, ANSWERING).words
    of_two = {"short sleeves", "short bottoms above the knee", "long hair", "female", "trousers or shorts"}
    places = [
        2 if word in of_two else 0 if word in ("backpack", "hat", "hand bag", "shoulder bag") else 1
        for word in words
    ]
    assert places == sorted(places)
    assert len(words) == len(places) == 14
    assert set(places) == {0, 1, 2}


def test_a_label_stays_in_the_picture_and_moves_no_further_than_its_box() -> None:
    label, font = Label(3, ("backpack", "top color red"), ()), ImageFont.load_default(size=12)
    places = []
    for step in range(-60, 240):
        image = Image.new("RGB", (200, 180), (255, 255, 255))
        draw_people(image, [(np.array([step, step, 20.0, 60.0]), label)], 0.0, font, "")
        black = (np.asarray(image).max(axis=2) == 0).astype(
            int
        )  # (H, W) of the label's ground, and the box's frame
        rows, columns = np.nonzero(black.sum(axis=1) > 40)[0], np.nonzero(black.sum(axis=0) > 12)[0]
        assert len(rows) > 20, "the whole label is there"
        assert rows.max() < 179
        places.append((int(rows.min()), int(columns.min())))
    assert np.abs(np.diff(places, axis=0)).max() <= 20


def test_frames_of_one_time_are_all_kept(tmp_path: Path) -> None:
    frames = [
        Frame(n, second, picture(PEOPLE, n, (320, 180))) for n, second in enumerate([0.0, 0.1, 0.1, 0.05], 1)
    ]
    video = Frames(frames)
    boxes = read_boxes(write_boxes(tmp_path / "b.txt", PEOPLE))
    assert annotate(video, boxes, {}, "", tmp_path / "out.mp4") == 4
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    assert len(times) == 4
    assert np.diff(times).min() > 0


def test_stopping_leaves_no_file(tmp_path: Path) -> None:
    video = Frames([Frame(n, n / 10, picture(PEOPLE, n, (320, 180))) for n in range(1, 9)])
    boxes = read_boxes(write_boxes(tmp_path / "b.txt", PEOPLE))
    asked = iter([False, False, True])
    with pytest.raises(Stopped):
        annotate(video, boxes, {}, "", tmp_path / "out.mp4", lambda: next(asked))
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


class Frames:
    """Frames in memory, as a source."""

    def __init__(self, frames: list[Frame]) -> None:
        self.path, self.length, self.rate, self.notes = Path("frames"), len(frames), 10.0, list[str]()
        self._frames = frames

    def frames(self) -> Iterator[Frame]:
        return iter(self._frames)
