"""The annotated video: the frames and times of the original, a box and one answer for each track."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.prediction.outputs.test_gallery import ANSWERING, person
from tests.support.videos import Person, picture, write_boxes, write_video
from vpar_cache.prediction.outputs.annotate import Label, annotate, label_of
from vpar_cache.prediction.rows import Segment
from vpar_cache.prediction.video.boxes import read_boxes
from vpar_cache.prediction.video.frames import open_frames

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
    assert "more" in long.lines(0)[-1]
