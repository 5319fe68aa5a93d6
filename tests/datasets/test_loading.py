"""Frames are read ahead, in order, once each; a bad one becomes a reason."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vpar_cache.datasets import loading
from vpar_cache.datasets.decoding import decode_frame
from vpar_cache.datasets.frame_choice import Draw, Jitter, Source, digest_source
from vpar_cache.datasets.loading import LoadedPiece, cut, hash_tracklet, load_piece, map_ahead
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


def load(one: Source) -> LoadedPiece:
    """The tracklet in one piece."""
    (piece,) = cut(one, None)
    return load_piece(piece, 16, "pad")


def digest(one: Source, loaded: LoadedPiece) -> str:
    return digest_source(one, loaded.hashes)


def test_a_piece_holds_the_decoded_frames_of_all_draws(folder: Path) -> None:
    jitter = Jitter(flip=True, shift_right=2, shift_down=-3)
    loaded = load(source(folder, Draw(("a.png", "a.png")), Draw(("b.png", "c.png"), jitter)))
    assert list(loaded.frames) == ["a.png", "b.png", "c.png"]
    for name, frame in loaded.frames.items():
        np.testing.assert_array_equal(frame, decode_frame((folder / name).read_bytes(), 16, "pad"))
        assert frame.dtype == np.uint8
    assert loaded.reason == ""


def test_pieces_are_the_tracklet_in_order_and_their_hashes_its_digest(folder: Path) -> None:
    one = source(folder, Draw(("a.png", "b.png", "c.png")))
    pieces = list(cut(one, 2))
    assert [(piece.names, piece.last) for piece in pieces] == [(("a.png", "b.png"), False), (("c.png",), True)]
    assert [piece.last for piece in cut(one, 3)] == [True]
    with ThreadPoolExecutor(4) as pool:
        loaded = list(map_ahead(pool, lambda piece: load_piece(piece, 16, "pad"), cut(one, 1), 2))
    assert [name for item in loaded for name in item.frames] == ["a.png", "b.png", "c.png"]
    assert digest_source(one, [content for item in loaded for content in item.hashes]) == hash_tracklet(one)


def test_a_file_is_read_once_however_often_it_is_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    plain = loading.read_frame

    def spy(one: Tracklet, name: str) -> bytes:
        read.append(name)
        return plain(one, name)

    monkeypatch.setattr(loading, "read_frame", spy)
    load(source(folder, Draw(("b.png", "b.png", "a.png")), Draw(("a.png", "b.png", "c.png"))))
    assert read == ["b.png", "a.png", "c.png"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"b.png: the file is empty (0 bytes)"),
        (b"text", "b.png: not an image"),
        (None, "b.png: No such file or directory"),
    ],
)
def test_a_bad_frame_is_a_reason_and_not_an_exception(folder: Path, content: bytes | None, reason: str) -> None:
    one = source(folder, Draw(("a.png", "b.png", "c.png")))
    whole = load(one)
    if content is None:
        (folder / "b.png").unlink()
    else:
        (folder / "b.png").write_bytes(content)
    loaded = load(one)
    assert loaded.frames == {}
    assert loaded.reason.startswith(reason)
    assert digest(one, loaded) != digest(one, whole)
    assert digest(one, loaded) == hash_tracklet(one)


def test_a_file_beyond_the_limit_is_a_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_FILE_BYTES", 10)
    loaded = load(source(folder, Draw(("a.png",))))
    assert loaded.reason == "a.png: the file is larger than 10 bytes"


@pytest.mark.parametrize("error", [AttributeError, MemoryError])
def test_an_unexpected_failure_is_an_error_and_not_a_reason_to_leave_a_tracklet_out(
    error: type[Exception], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise error("a bug in a decoder")

    monkeypatch.setattr(loading, "decode_frame", fail)
    with pytest.raises(DataError, match=rf"a\.png: decoding it failed \({error.__name__}: a bug in a decoder\)"):
        load(source(folder, Draw(("a.png",))))


def test_the_digest_is_of_what_was_decoded(folder: Path) -> None:
    one = source(folder, Draw(("a.png", "b.png")))
    before = digest(one, load(one))
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
