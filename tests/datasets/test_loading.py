"""Frames are read ahead, in order, once each; a bad one becomes a reason."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vpar_cache.datasets import loading
from vpar_cache.datasets.draws import Draw, Source
from vpar_cache.datasets.frames import Jitter, apply_jitter, decode_frame
from vpar_cache.datasets.loading import hash_tracklet, load_tracklet, map_ahead
from vpar_cache.datasets.tracklet import Tracklet
from vpar_cache.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(random.integers(0, 256, (12, 8, 3), dtype=np.uint8)).save(tmp_path / name)
    return tmp_path


def source(folder: Path, *draws: Draw) -> Source:
    empty = np.zeros(0, np.uint8)
    tracklet = Tracklet("0001C1T0001", "train", 1, 1, folder, ("a.png", "b.png", "c.png"), empty, empty)
    return Source(tracklet, draws)


def decoded(folder: Path, name: str) -> np.ndarray:
    return decode_frame((folder / name).read_bytes(), 16, "pad")


def test_draws_are_the_decoded_frames_and_their_jitter(folder: Path) -> None:
    jitter = Jitter(flip=True, shift_right=2, shift_down=-3)
    loaded = load_tracklet(
        source(folder, Draw(("a.png", "a.png")), Draw(("b.png", "c.png"), jitter), Draw(("a.png", "c.png"))),
        16,
        "pad",
    )
    assert loaded.draws is not None
    a, b, c = (decoded(folder, f"{name}.png") for name in "abc")
    wanted = [[a, a], [apply_jitter(b, jitter), apply_jitter(c, jitter)], [a, c]]
    np.testing.assert_array_equal(loaded.draws, np.array(wanted))
    assert loaded.draws.dtype == np.uint8
    assert loaded.reason == ""


def test_a_file_is_read_once_however_often_it_is_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    plain = loading._read

    def spy(one: Source, name: str) -> bytes:
        read.append(name)
        return plain(one, name)

    monkeypatch.setattr(loading, "_read", spy)
    load_tracklet(source(folder, Draw(("b.png", "b.png", "a.png")), Draw(("a.png", "b.png", "c.png"))), 16, "pad")
    assert read == ["b.png", "a.png", "c.png"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"b.png: the file is empty (0 bytes)"),
        (b"text", "b.png: no image: not one of"),
        (None, "b.png: No such file or directory"),
    ],
)
def test_a_bad_frame_is_a_reason_and_not_an_exception(folder: Path, content: bytes | None, reason: str) -> None:
    one = source(folder, Draw(("a.png", "b.png", "c.png")))
    whole = load_tracklet(one, 16, "pad")
    if content is None:
        (folder / "b.png").unlink()
    else:
        (folder / "b.png").write_bytes(content)
    loaded = load_tracklet(one, 16, "pad")
    assert loaded.draws is None
    assert loaded.reason.startswith(reason)
    assert loaded.digest != whole.digest
    assert loaded.digest == hash_tracklet(one)


def test_a_file_beyond_the_limit_is_a_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_FILE_BYTES", 10)
    loaded = load_tracklet(source(folder, Draw(("a.png",))), 16, "pad")
    assert loaded.reason == "a.png: the file is larger than 10 bytes"


def test_a_failure_that_nobody_foresaw_is_no_reason_to_leave_a_tracklet_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise AttributeError("a bug in a decoder")

    monkeypatch.setattr(loading, "decode_frame", fail)
    with pytest.raises(DataError, match=r"a\.png: decoding it failed \(AttributeError: a bug in a decoder\)"):
        load_tracklet(source(folder, Draw(("a.png",))), 16, "pad")


def test_the_digest_is_of_what_was_decoded(folder: Path) -> None:
    one = source(folder, Draw(("a.png", "b.png")))
    before = load_tracklet(one, 16, "pad").digest
    assert before == hash_tracklet(one)
    (folder / "c.png").write_bytes(b"not drawn")
    assert hash_tracklet(one) == before
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes())
    assert hash_tracklet(one) != before


def test_results_come_in_order_and_not_too_far_ahead() -> None:
    ahead = most = 0

    def items() -> Iterator[int]:
        nonlocal ahead, most
        for number in range(50):
            ahead += 1
            most = max(most, ahead)
            yield number

    results = []
    with ThreadPoolExecutor(4) as pool:
        for result in map_ahead(pool, lambda number: number * number, items(), 6):
            results.append(result)
            ahead -= 1
    assert results == [number * number for number in range(50)]
    assert most == 6


def test_an_error_surfaces_at_its_place_and_cancels_what_waits() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        if number == 3:
            raise OSError("disk")
        done.append(number)
        return number

    results: list[int] = []

    def collect() -> None:
        with ThreadPoolExecutor(1) as pool:
            for result in map_ahead(pool, work, range(1000), 8):
                results.append(result)

    with pytest.raises(OSError, match="disk"):
        collect()
    assert results == [0, 1, 2]
    assert max(done) < 12
