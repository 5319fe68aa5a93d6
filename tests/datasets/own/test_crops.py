"""Crops of tracks: each is what its box frames, spread over time, and what is not cut is counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vpar_cache.datasets.demo.video import write_video
from vpar_cache.datasets.own.crops import CropLimits, CropPlan, plan_crops, write_crops
from vpar_cache.errors import CacheError, UserError


def plan(rows: list[tuple[float, ...]], limits: CropLimits, size: tuple[int, int] = (100, 80)) -> CropPlan:
    """Of rows of frame, track, left, top, width, height."""
    table = np.array(rows, np.float64)  # (n, 6)
    whole = table[:, :2].astype(np.int64)  # (n, 2)
    return plan_crops(whole[:, 0], whole[:, 1], table[:, 2:], size, limits)


def pictures(count: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frames of (80, 100, 3) whose pixels say where and when they are."""
    rows, columns = np.mgrid[0:80, 0:100]  # (80, 100) each
    for number in range(1, count + 1):
        yield (
            number,
            np.stack([rows, columns, np.full_like(rows, number)], axis=2).astype(np.uint8),
        )  # (80, 100, 3)


def test_frames_are_spread_over_the_time_of_a_track_whatever_the_order_of_the_rows() -> None:
    rows = [(frame, 7, 10, 10, 20, 40) for frame in (30, 10, 20, *range(40, 100, 10))]
    assert list(plan(rows, CropLimits(frames=3, min_frames=1)).by_frame) == [10, 50, 90]
    assert list(plan(rows, CropLimits(frames=50, min_frames=1)).by_frame) == list(range(10, 100, 10))


def test_small_boxes_and_short_tracks_are_left_out_and_counted() -> None:
    rows = [(frame, 1, 10, 10, 20, 40) for frame in range(1, 6)]
    rows += [(frame, 2, 10, 10, 20, 39) for frame in range(1, 6)]  # too low
    rows += [(frame, 3, 10, 50, 20, 40) for frame in range(1, 6)]  # too low inside the picture
    rows += [(frame, 4, 200, 10, 20, 40) for frame in range(1, 6)]  # outside
    rows += [(frame, 5, 10, 10, 20, 40) for frame in range(1, 5)]  # too short
    cut = plan(rows, CropLimits(frames=2, min_height=40, min_frames=5))
    assert (cut.tracks, cut.short_tracks, cut.small_boxes, cut.crops) == (1, 4, 15, 2)


def test_a_crop_is_what_its_box_frames_cut_at_the_edge(tmp_path: Path) -> None:
    rows = [(2, 1, 10.4, 20.6, 30, 40), (3, 1, -5, -5, 30, 50), (4, 1, 90, 60, 30, 50)]
    cut = plan(rows, CropLimits(min_height=20, min_frames=1))
    assert write_crops(tmp_path / "v", cut, pictures(9)) == []
    for number, (top, bottom, left, right) in {
        2: (21, 61, 10, 40),
        3: (0, 45, 0, 25),
        4: (60, 80, 90, 100),
    }.items():
        with Image.open(tmp_path / "v" / "1" / f"{number:06d}.jpg") as image:
            pixels = np.asarray(image).astype(int)  # (height, width, 3)
        assert pixels.shape == (bottom - top, right - left, 3)
        assert np.abs(pixels[:, :, 0] - np.arange(top, bottom)[:, None]).max() <= 3
        assert np.abs(pixels[:, :, 1] - np.arange(left, right)).max() <= 3
        assert np.abs(pixels[:, :, 2] - number).max() <= 3


def test_no_frame_behind_the_last_crop_is_decoded_and_lacking_ones_are_named(tmp_path: Path) -> None:
    cut = plan([(2, 1, 0, 0, 50, 50), (5, 1, 0, 0, 50, 50)], CropLimits(min_frames=1))
    video = pictures(9)
    assert write_crops(tmp_path / "whole", cut, video) == []
    assert next(video)[0] == 6
    assert write_crops(tmp_path / "truncated", cut, pictures(4)) == [5]


def test_a_failure_leaves_no_folder_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        yield from pictures(2)
        raise OSError("the disk is gone")

    cut = plan([(2, 1, 0, 0, 50, 50), (5, 1, 0, 0, 50, 50)], CropLimits(min_frames=1))
    with pytest.raises(CacheError, match="the disk is gone"):
        write_crops(tmp_path / "v", cut, broken())
    assert list(tmp_path.iterdir()) == []


def test_the_people_of_the_drawn_video_are_found_again_in_its_crops(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video", people=3, frames=20)
    rows = [tuple(map(float, line.split(",")[:6])) for line in (video / "gt/gt.txt").read_text().split()]
    cut = plan(rows, CropLimits(frames=4), size=(640, 360))
    frames = ((n, np.asarray(Image.open(video / f"img1/{n:06d}.jpg"))) for n in range(1, 21))
    assert write_crops(tmp_path / "crops", cut, frames) == []
    names = [
        path.relative_to(tmp_path / "crops").as_posix() for path in sorted((tmp_path / "crops").rglob("*.jpg"))
    ]
    expected = [f"{track}/{frame:06d}.jpg" for frame, boxes in cut.by_frame.items() for track, _ in boxes]
    assert names == sorted(expected)
    assert cut.tracks


@pytest.mark.parametrize(("name", "value"), [("frames", 0), ("min_height", 0), ("min_frames", -1)])
def test_a_limit_out_of_range_is_refused(name: str, value: int) -> None:
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')}: got {value}"):
        CropLimits(**{name: value}).check()
