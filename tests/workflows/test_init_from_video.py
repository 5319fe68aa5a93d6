"""Crops from a video: what a prediction of the same video would look at, and all that is left out is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vpar_cache.datasets.demo.video import write_video
from vpar_cache.errors import DataError, UserError
from vpar_cache.prediction.tracks import Track
from vpar_cache.prediction.video.boxes import read_boxes
from vpar_cache.prediction.video.frames import open_frames
from vpar_cache.prediction.video.source import TrackRules, VideoCounts, tracks_of_boxes
from vpar_cache.workflows.init_from_video import TrackedVideo, cut_videos

RULES = TrackRules(num_frames=3, min_frames=5, min_height=110)


@pytest.fixture
def video(tmp_path: Path) -> TrackedVideo:
    """A MOT sequence, which needs no package that decodes videos."""
    drawn = write_video(tmp_path / "drawn", people=6, frames=20)
    return TrackedVideo(drawn, drawn / "gt/gt.txt")


def files(root: Path) -> dict[str, Path]:
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*.jpg")}


def test_the_crops_are_the_frames_that_a_prediction_takes(video: TrackedVideo, tmp_path: Path) -> None:
    said: list[str] = []
    cut_videos(tmp_path / "own", [video], RULES, said.append)
    counts = VideoCounts()
    tracks = tracks_of_boxes(open_frames(video.video), read_boxes(video.boxes), "drawn", RULES, counts)
    expected = {
        f"crops/drawn/{track.track_id}/{crop.frame:06d}.jpg": crop.picture
        for track in tracks
        if isinstance(track, Track)
        for crop in track.crops
    }
    found = files(tmp_path / "own")
    assert set(found) == set(expected)
    assert expected
    for name, picture in expected.items():
        with Image.open(found[name]) as image:
            assert np.abs(np.asarray(image).astype(int) - picture).mean() < 3  # (h, w, 3)
    assert counts.dropped
    for reason, count in counts.dropped.items():
        assert f"{video.video}: left out: {reason}: {count}" in said


def test_several_videos_go_into_folders_of_their_own(video: TrackedVideo, tmp_path: Path) -> None:
    other = write_video(tmp_path / "other", people=4, frames=20, seed=3)
    cut_videos(tmp_path / "own", [video, TrackedVideo(other, other / "gt/gt.txt")], RULES, lambda _: None)
    assert {name.split("/")[1] for name in files(tmp_path / "own")} == {"drawn", "other"}


def test_crops_that_are_there_are_never_touched(video: TrackedVideo, tmp_path: Path) -> None:
    (tmp_path / "own/crops/drawn").mkdir(parents=True)
    with pytest.raises(UserError, match=r"crops/drawn exists already"):
        cut_videos(tmp_path / "own", [video], RULES, lambda _: None)
    with pytest.raises(UserError, match=r"--video: got 2 videos named drawn"):
        cut_videos(tmp_path / "new", [video, video], RULES, lambda _: None)
    assert files(tmp_path / "own") == {}
    assert not (tmp_path / "new").exists()


def test_boxes_without_tracks_are_refused_or_counted(video: TrackedVideo, tmp_path: Path) -> None:
    rows = [line.split(",") for line in video.boxes.read_text().splitlines()]
    (tmp_path / "all.txt").write_text("".join(",".join([row[0], "-1", *row[2:]]) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"all\.txt: got boxes without track ids"):
        cut_videos(tmp_path / "own", [TrackedVideo(video.video, tmp_path / "all.txt")], RULES, lambda _: None)
    (tmp_path / "some.txt").write_text(video.boxes.read_text() + ",".join([rows[0][0], "-1", *rows[0][2:]]) + "\n")
    said: list[str] = []
    cut_videos(tmp_path / "own", [TrackedVideo(video.video, tmp_path / "some.txt")], RULES, said.append)
    assert [line for line in said if "boxes without a track id, left out: 1" in line]
    assert not any("/-1/" in name for name in files(tmp_path / "own"))


def test_limits_that_leave_nothing_are_named(video: TrackedVideo, tmp_path: Path) -> None:
    rules = TrackRules(num_frames=3, min_frames=1000, min_height=60)
    with pytest.raises(DataError, match=r"gt\.txt: no track is left .*--min-frames"):
        cut_videos(tmp_path / "own", [video], rules, lambda _: None)
    with pytest.raises(UserError, match=r"--frames: got 0"):
        cut_videos(tmp_path / "own", [video], TrackRules(num_frames=0), lambda _: None)
    assert not (tmp_path / "own").exists() or files(tmp_path / "own") == {}
