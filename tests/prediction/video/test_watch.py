"""The progress of a call: the frames of a video, and people otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.videos import Person, write_boxes, write_video
from vpar_cache.base import progress
from vpar_cache.errors import Stopped
from vpar_cache.prediction.config import PredictConfig
from vpar_cache.prediction.inputs import InputReader, list_inputs
from vpar_cache.prediction.video.watch import Watch

SETTINGS = {"frames": 6, "sampling": "uniform", "seed": None}


def test_a_long_video_says_how_many_frames_of_how_many_while_no_track_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    person = [Person(1, 1, 40, 20)]
    video, boxes = write_video(tmp_path / "a.mp4", person, frames=40), write_boxes(tmp_path / "b.txt", person)
    config = PredictConfig(inputs=(video,), boxes=(boxes,))
    with Watch("predict") as watch:
        reader = InputReader(config, SETTINGS, 4, lambda name, why: None, lambda line: None, None, watch.on_frame)
        for _ in reader.tracks(list_inputs(config)[0]):
            watch.on_people(1)
        watch.end_video()
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("predict a.mp4: 20 of 40 frames") for line in lines), lines
    assert any(line.endswith("people: 1") for line in lines), lines


def test_frames_ask_whether_to_stop(tmp_path: Path) -> None:
    class Video:
        path, length, rate, notes = tmp_path / "a.mp4", None, 10.0, list[str]()

    with Watch("predict", lambda: True) as watch, pytest.raises(Stopped):
        watch.on_frame(Video())  # type: ignore[arg-type]
