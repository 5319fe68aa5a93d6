"""Tracks of a video: who is found, who is dropped, and how much memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.videos import Person, write_boxes, write_video
from vpar_cache.errors import DataError, Stopped, UserError
from vpar_cache.prediction.config import PeopleConfig, PredictConfig
from vpar_cache.prediction.inputs import Input, InputReader, list_inputs
from vpar_cache.prediction.tracks import Track, Window
from vpar_cache.prediction.video.boxes import overlaps, read_boxes
from vpar_cache.prediction.video.frames import FrameSource, open_frames

PEOPLE = [Person(1, 1, 40, 20), Person(2, 5, 30, 150), Person(3, 12, 14, 220), Person(4, 1, 40, 200, 20, (10, 20))]
SETTINGS = {"frames": 6, "sampling": "uniform", "seed": None}


def reader(config: PredictConfig, said: list[str] | None = None, boxes_out: Path | None = None) -> InputReader:
    lines = [] if said is None else said
    return InputReader(config, SETTINGS, 4, lambda name, reason: lines.append(reason), lines.append, boxes_out)


def read(config: PredictConfig, **options: Any) -> tuple[list[Track | Window], InputReader]:
    made = reader(config, **options)
    return [item for given in list_inputs(config) for item in made.tracks(given)], made


def test_tracks_of_a_box_file_close_at_their_last_box(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE, frames=40)
    config = PredictConfig(inputs=(video,), boxes=(write_boxes(tmp_path / "b.txt", PEOPLE),))
    tracks, made = read(config)
    assert [track.tracklet_id for track in tracks] == ["a.mp4/2", "a.mp4/1"], "in the order in which they close"
    assert made.counts.dropped == Counter({"box lower than 32 pixels": 40, "track of fewer than 5 boxes": 2}), (
        "people 3 and 4"
    )
    for track in tracks:
        assert isinstance(track, Track)
        assert len(track.crops) == 4
        person = PEOPLE[(track.track_id or 0) - 1]
        assert (track.first_frame, track.last_frame) == (person.first, person.last)
        for crop in track.crops:
            assert crop.picture.shape == (90, 30, 3)


def test_a_box_without_a_track_among_others_is_counted_and_no_person(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE[:1], frames=40)
    boxes = write_boxes(tmp_path / "b.txt", PEOPLE[:1])
    boxes.write_text(boxes.read_text() + "".join(f"{frame},-1,200,20,30,90,1\n" for frame in range(1, 11)))
    tracks, made = read(PredictConfig(inputs=(video,), boxes=(boxes,)))
    assert [track.tracklet_id for track in tracks] == ["a.mp4/1"]
    assert made.counts.dropped == Counter({"box without a track among boxes with one": 10})


def test_frames_that_the_box_file_lacks_leave_one_track(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE[:1], frames=40)
    boxes = write_boxes(tmp_path / "b.txt", PEOPLE[:1])
    lines = boxes.read_text().splitlines(keepends=True)
    boxes.write_text("".join(lines[:10] + lines[25:]))
    (track,), _ = read(PredictConfig(inputs=(video,), boxes=(boxes,)))
    assert isinstance(track, Track)
    assert (track.first_frame, track.last_frame) == (1, 40)
    assert not {crop.frame for crop in track.crops} & set(range(11, 26))


def test_reading_can_be_stopped_in_any_frame(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE[:1], frames=40)
    numbers = iter(range(100))

    def on_frame(video: FrameSource) -> None:
        if next(numbers) == 7:
            raise Stopped

    for boxes in ((), (write_boxes(tmp_path / "b.txt", PEOPLE[:1]),)):
        people = PeopleConfig(detector=None if boxes else "motion")
        config = PredictConfig(inputs=(video,), boxes=boxes, people=people)
        made = InputReader(config, SETTINGS, 4, lambda name, reason: None, lambda line: None, None, on_frame)
        with pytest.raises(Stopped):
            list(made.tracks(list_inputs(config)[0]))
        assert made.counts.frames == 8
        numbers = iter(range(100))


def test_windows_come_before_their_track(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE[:1], frames=40)
    config = PredictConfig(inputs=(video,), boxes=(write_boxes(tmp_path / "b.txt", PEOPLE[:1]),), windows=1.0)
    *windows, track = read(config)[0]
    assert isinstance(track, Track)
    assert all(isinstance(window, Window) and window.tracklet_id == track.tracklet_id for window in windows)
    bounds = [(window.first_frame, window.last_frame) for window in windows]  # type: ignore[union-attr]
    assert [first for first, _ in bounds] == [1, *(last + 1 for _, last in bounds[:-1])]
    assert bounds[-1][1] == 40


def test_boxes_of_another_video_are_refused(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE[:1], frames=20)
    far = [Person(1, 1, 20, 2000)]
    with pytest.raises(DataError, match=r"far\.txt: 100% of its boxes lie outside the 320 x 180 pictures"):
        read(PredictConfig(inputs=(video,), boxes=(write_boxes(tmp_path / "far.txt", far),)))
    long = [Person(1, 1, 90, 20)]
    with pytest.raises(DataError, match=r"long\.txt: its last box is in frame 90, but .* has 20 frames"):
        read(PredictConfig(inputs=(video,), boxes=(write_boxes(tmp_path / "long.txt", long),)))


def test_detections_without_ids_are_followed_first(tmp_path: Path) -> None:
    people = [Person(1, 1, 40, 20), Person(2, 1, 40, 150)]
    video = write_video(tmp_path / "a.mp4", people, frames=40)
    anonymous = tmp_path / "c.txt"
    anonymous.write_text(
        "".join(
            f"{frame},-1,{','.join(map(str, p.box(frame)))},0.9\n"
            for p in people
            for frame in range(p.first, p.last + 1)
        )
    )
    for tracker in ("bytetrack", "ocsort"):
        config = PredictConfig(inputs=(video,), boxes=(anonymous,), people=PeopleConfig(tracker=tracker))
        followed = tmp_path / f"{tracker}.txt"
        tracks, _ = read(config, boxes_out=followed)
        assert len(tracks) == 2
        found = read_boxes(followed)
        assert set(found.track_id.tolist()) == {1, 2}
        first = found.ltwh[found.track_id == 1]
        assert np.ptp(first[:, 0]) == pytest.approx(2 * (len(first) - 1), abs=3), "one person all the way"


def test_motion_finds_who_walks_and_follows_them(tmp_path: Path) -> None:
    people = [Person(1, 10, 60, 20), Person(2, 10, 60, 170)]
    video = write_video(tmp_path / "a.mp4", people, frames=70)
    followed = tmp_path / "followed.txt"
    config = PredictConfig(inputs=(video,), people=PeopleConfig(detector="motion"))
    tracks, _ = read(config, boxes_out=followed)
    assert len(tracks) == 2
    assert recall(followed, write_boxes(tmp_path / "b.txt", people)) > 0.7


@pytest.mark.slow
def test_recall_of_motion_on_a_real_street(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    followed = tmp_path / "followed.txt"
    config = PredictConfig(
        inputs=(real_data / "vtest_video" / "vtest.avi",), people=PeopleConfig(detector="motion")
    )
    tracks, _ = read(config, boxes_out=followed)
    found = recall(followed, real_data / "vtest_video" / "mot.txt")
    with capsys.disabled():
        sys.stdout.write(f"\nmotion: {len(tracks)} tracks, recall {found:.3f} of the boxes, IoU 0.5\n")
    assert found > 0.9


def recall(followed: Path, truth: Path) -> float:
    """Return the share of the true boxes that a followed one covers with an IoU of 0.5 or more."""
    found, wanted = read_boxes(followed), read_boxes(truth)
    places = dict(found.by_frame())
    hits = 0
    for frame, place in wanted.by_frame():
        if frame in places:
            shared = overlaps(wanted.ltwh[place], found.ltwh[places[frame]])  # (n, m)
            hits += int((shared.max(axis=1) >= 0.5).sum())
    return hits / len(wanted)


MEMORY = """
import json, resource, sys
from pathlib import Path
from tests.prediction.video.test_source import reader
from vpar_cache.prediction.config import PredictConfig
from vpar_cache.prediction.inputs import list_inputs
config = PredictConfig(inputs=(Path(sys.argv[1]),), boxes=(Path(sys.argv[2]),), windows=2.0)
made = reader(config)
count = sum(1 for given in list_inputs(config) for item in made.tracks(given))
print(json.dumps([count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


@pytest.mark.slow
def test_ten_times_the_length_takes_no_more_memory(tmp_path: Path) -> None:
    peaks = []
    for times in (1, 10):
        people = [Person(n + 1, 1 + 20 * n, 20 + 20 * n, 10 + n % 7 * 30) for n in range(20 * times)]
        video = write_video(tmp_path / f"{times}.mp4", people, frames=400 * times)
        boxes = write_boxes(tmp_path / f"{times}.txt", people)
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, video, boxes], capture_output=True, text=True, check=True
        )
        count, peak = json.loads(done.stdout)
        assert count > 20 * times
        peaks.append(peak)
    assert peaks[1] <= 1.05 * peaks[0], peaks


def test_without_weights_the_error_names_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    video = write_video(tmp_path / "a.mp4", PEOPLE[:1], frames=5)
    with pytest.raises(UserError, match=r"--boxes.*--detector-weights.*--detector motion"):
        read(PredictConfig(inputs=(video,), offline=True))
    config = PredictConfig(inputs=(video,), people=PeopleConfig(detector="torchvision:yolo"), offline=True)
    with pytest.raises(UserError, match=r"--detector: got 'torchvision:yolo'"):
        read(config)


def test_two_inputs_of_one_name_have_different_ids(tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(write_video(tmp_path / folder / "x.mp4", PEOPLE[:1], frames=8))
    names = [given.name for given in list_inputs(PredictConfig(inputs=tuple(paths)))]
    assert names == ["x.mp4", "x.mp4-2"]
    assert isinstance(list_inputs(PredictConfig(inputs=tuple(paths)))[0], Input)
    assert open_frames(paths[0]).length == 8
