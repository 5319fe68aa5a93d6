"""Frames of videos: numbers, times, turned and damaged files."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.support.videos import HEIGHT, WIDTH, Person, picture, set_rotation, write_lossless, write_video
from vpar_cache.errors import DataError
from vpar_cache.prediction.video.frames import Video, open_frames

WALKER = [Person(1, 1, 30, 20)]


def test_frames_come_with_their_numbers_times_and_pictures(tmp_path: Path) -> None:
    video = open_frames(write_video(tmp_path / "a.mp4", WALKER, frames=12))
    frames = list(video.frames())
    assert [frame.number for frame in frames] == list(range(1, 13))
    np.testing.assert_allclose([frame.second for frame in frames], np.arange(12) / 10, atol=2e-3)
    assert video.length == 12
    for frame in frames:
        assert frame.picture.shape == (HEIGHT, WIDTH, 3)
        assert abs(frame.picture.astype(float) - picture(WALKER, frame.number)).mean() < 8
    assert video.notes == []


def test_a_variable_rate_gives_the_true_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.9, 2.0, 2.05]
    video = open_frames(write_video(tmp_path / "a.mp4", WALKER, frames=6, seconds=times))
    np.testing.assert_allclose([frame.second for frame in video.frames()], times, atol=2e-3)


@pytest.mark.parametrize("size", [(319, 179), (322, 181)])
def test_odd_sizes_are_decoded(size: tuple[int, int], tmp_path: Path) -> None:
    path = write_lossless(tmp_path / "a.mkv", [picture(WALKER, number, size) for number in range(1, 4)])
    frames = list(open_frames(path).frames())
    assert [frame.number for frame in frames] == [1, 2, 3]
    np.testing.assert_array_equal(frames[0].picture, picture(WALKER, 1, size))


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_a_video_of_a_turned_telephone_is_upright(turned: int, tmp_path: Path) -> None:
    """FFmpeg's own definition: the matrix turns by that many degrees counterclockwise for display."""
    shown = picture(WALKER, 1)  # (H, W, 3)
    stored = np.rot90(shown, -turned // 90)  # (H, W, 3) or (W, H, 3)
    path = write_video(tmp_path / "a.mp4", [], frames=3, pictures=[np.ascontiguousarray(stored)] * 3)
    set_rotation(path, turned)
    frame = next(open_frames(path).frames())
    assert frame.picture.shape == shown.shape
    assert abs(frame.picture.astype(float) - shown).mean() < 8


def test_a_file_that_was_cut_gives_the_frames_before_and_says_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(1, 41):
            frame = av.VideoFrame.from_ndarray(picture(WALKER, number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    whole = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "b.avi").write_bytes(whole[: len(whole) * 9 // 10])
    video = Video(tmp_path / "b.avi")
    frames = list(video.frames())
    assert 1 < len(frames) < 40
    assert len(video.notes) == 1


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(DataError, match=r"a\.wav: has no pictures, only audio"):
        open_frames(tmp_path / "a.wav")


@pytest.mark.parametrize("data", [b"", b"no video at all", bytes(5000)])
def test_what_is_no_video_is_one_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.mp4") as error:
        list(open_frames(tmp_path / "a.mp4").frames())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["mot.txt", "boxes.csv", "list.m3u8", "list.ffconcat"])
def test_text_is_no_video_and_a_playlist_is_not_followed(name: str, tmp_path: Path) -> None:
    """FFmpeg would draw the text, and read the files that a list names."""
    secret = write_video(tmp_path / "other.mp4", WALKER, frames=3)
    texts = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.3,\n{secret}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile {secret.name}\n",
    }
    (tmp_path / name).write_text(texts.get(name, "1,1,10,20,30,60,1,-1,-1,-1\n" * 100))
    with pytest.raises(DataError, match=re.escape(name)):
        list(open_frames(tmp_path / name).frames())


def test_a_sequence_folder_takes_numbers_from_names_and_times_from_its_rate(tmp_path: Path) -> None:
    (tmp_path / "img1").mkdir()
    for number in (1, 2, 4):
        Image.fromarray(picture(WALKER, number)).save(tmp_path / "img1" / f"{number:06}.jpg")
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nname=x\nframeRate=5\n")
    video = open_frames(tmp_path)
    frames = list(video.frames())
    assert [(frame.number, frame.second) for frame in frames] == [(1, 0.0), (2, 0.2), (4, 0.6)]
    assert video.notes == ["1 of 4 frames are missing"]
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nframeRate=fast\n")
    with pytest.raises(DataError, match=r"seqinfo\.ini.*frameRate"):
        open_frames(tmp_path)


def test_a_sequence_from_0_is_counted_from_1_and_said(tmp_path: Path) -> None:
    (tmp_path / "img1").mkdir()
    for number in (0, 1, 10, 9):
        Image.fromarray(picture(WALKER, number + 1)).save(tmp_path / "img1" / f"{number}.png")
    video = open_frames(tmp_path)
    assert [frame.number for frame in video.frames()] == [1, 2, 10, 11]
    assert video.length == 11
    assert ["counted from 0" in note for note in video.notes] == [True, False]
