"""`vpar track`: what it writes, `vpar predict` reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.support.hostile_files import call_vpar
from tests.support.videos import Person, picture, write_boxes, write_video
from vpar_cache.base.lock import sole_writer
from vpar_cache.errors import CacheError, Stopped, UserError
from vpar_cache.prediction.config import PeopleConfig
from vpar_cache.prediction.track import track
from vpar_cache.prediction.video.boxes import read_boxes

MOTION = PeopleConfig(detector="motion")
PEOPLE = [Person(1, 10, 60, 20), Person(2, 10, 60, 170)]


def test_the_people_who_walk_are_in_the_file(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE, frames=70)
    done = call_vpar("track", "a.mp4", "--detector=motion", "--out=a.txt", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "a.txt\n")
    boxes = read_boxes(tmp_path / "a.txt")
    assert set(boxes.track_id.tolist()) == {1, 2}
    with pytest.raises(UserError, match=r"--out: .*a\.txt' exists already"):
        track(video, tmp_path / "a.txt", MOTION)


def test_a_video_of_nobody_gives_an_empty_file_and_a_line(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [], frames=20)
    done = call_vpar("track", "a.mp4", "--detector=motion", "--out=a.txt", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "a.txt\n")
    assert re.search(r"a\.txt is empty: .*--min-score", done.stderr)
    assert (tmp_path / "a.txt").read_text() == ""


def test_short_tracks_and_low_boxes_are_dropped(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE, frames=70)
    many = PeopleConfig(detector="motion", min_frames=500)
    assert track(video, tmp_path / "a.txt", many, say=lambda line: None).tracks == 0
    assert (tmp_path / "a.txt").read_text() == ""
    done = call_vpar("track", "a.mp4", "--detector=motion", "--min-frames=500", "--out=b.txt", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "b.txt\n")
    assert (
        "b.txt is empty: nobody was found that is within the limits; lower --min-frames or --min-height"
        in done.stderr
    )


def test_the_video_is_never_replaced_by_its_boxes(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE, frames=70)
    (tmp_path / "a.txt").hardlink_to(video)
    before = video.read_bytes()
    for name, problem in (("a.mp4", "expected a name that ends in .txt"), ("a.txt", "which is an input")):
        with pytest.raises(UserError, match=f"--out: got .*{name}'.*{problem}"):
            track(video, tmp_path / name, MOTION, overwrite=True)
    assert video.read_bytes() == before


def test_two_calls_never_write_one_file(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE, frames=70)
    with sole_writer(tmp_path / "a.txt"), pytest.raises(CacheError, match=r"a\.txt is being written by process"):
        track(video, tmp_path / "a.txt", MOTION)


def test_a_stopped_call_leaves_nothing(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE, frames=70)
    asked = iter([False] * 20 + [True])
    with pytest.raises(Stopped):
        track(video, tmp_path / "a.txt", MOTION, say=lambda line: None, stop=lambda: next(asked))
    assert list(tmp_path.iterdir()) == [video]


def test_a_sequence_with_tracks_is_followed_anew_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "img1").mkdir()
    (tmp_path / "gt").mkdir()
    people = [Person(1, 10, 60, 20)]
    for number in range(1, 71):
        Image.fromarray(picture(people, number)).save(tmp_path / "img1" / f"{number:06}.png")
    write_boxes(tmp_path / "gt" / "gt.txt", people)
    with pytest.raises(UserError, match=r"has tracks in gt/gt\.txt already; give --detector"):
        track(tmp_path, tmp_path / "a.txt", PeopleConfig(), say=lambda line: None)
    assert track(tmp_path, tmp_path / "a.txt", MOTION, say=lambda line: None).tracks == 1
