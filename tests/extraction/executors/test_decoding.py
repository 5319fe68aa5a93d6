"""Frames decoded in processes are those decoded on threads; processes end with their reader."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.comparing import bytes_of
from vpar_cache.datasets.frame_choice import Draw, Source
from vpar_cache.datasets.loading import LoadedPiece, Piece, cut, load_piece
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import CacheError, DataError, Stopped
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors import decoding, local
from vpar_cache.extraction.executors.decoding import decoding_processes, in_processes
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]
SIZE = 32
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def pieces_of(root: Path) -> list[Piece]:
    """All frames of a dataset, two in each piece."""
    sources = (Source(tracklet, (Draw(tracklet.frames),)) for tracklet in load_mars(root).tracklets)
    return [piece for source in sources for piece in cut(source, 2)]


def test_processes_give_what_one_thread_gives_in_the_same_order(demo_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "people"
    shutil.copytree(demo_root, root)
    pieces = pieces_of(root) * 8  # several groups for each process
    bad = pieces[3].source.tracklet.folder / pieces[3].names[0]
    bad.write_bytes(b"not an image")
    load = partial(load_piece, size=SIZE, resize="pad")
    with in_processes(2, 1, load, SIZE) as (read,), closing(read(pieces, 0)) as loaded:
        for item, expected in zip(loaded, map(load, pieces), strict=True):
            assert item.piece is expected.piece
            assert (item.hashes, item.reason) == (expected.hashes, expected.reason)
            assert item.frames.keys() == expected.frames.keys()
            assert all(np.array_equal(item.frames[name], expected.frames[name]) for name in expected.frames)
    assert any(load(piece).reason for piece in pieces)


def test_the_shards_of_processes_have_the_bytes_of_threads(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(extract_config(tmp_path / "threads" / "a.h5", shard_size=2))
    monkeypatch.setattr(local, "decoding_processes", lambda *_: 2)
    for devices in (("cpu",), ("cpu", "cpu")):
        out = tmp_path / str(len(devices)) / "a.h5"
        extract(extract_config(out, shard_size=2, devices=devices))
        assert bytes_of(out) == bytes_of(tmp_path / "threads" / "a.h5")
    assert not multiprocessing.active_children()


def test_processes_end_where_the_reader_stops_early(demo_root: Path) -> None:
    load = partial(load_piece, size=SIZE, resize="pad")
    with in_processes(2, 1, load, SIZE) as (read,), closing(read(pieces_of(demo_root) * 20, 0)) as loaded:
        next(loaded)
        assert len(multiprocessing.active_children()) == 2
    assert not multiprocessing.active_children()


def test_a_stopped_extraction_ends_its_processes(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "decoding_processes", lambda *_: 2)
    asked = iter([False] * 8)
    with pytest.raises(Stopped):
        extract(extract_config(tmp_path / "a.h5"), stop=lambda: next(asked, True))
    assert not multiprocessing.active_children()


def test_an_unknown_fault_of_a_file_stays_one_line(demo_root: Path) -> None:
    def load(piece: Piece) -> LoadedPiece:
        raise DataError(f"{piece.names[0]}: decoding it failed; save the image again")

    pieces = pieces_of(demo_root)
    with (
        in_processes(1, 1, load, SIZE) as (read,),
        closing(read(pieces, 0)) as loaded,
        pytest.raises(DataError) as caught,
    ):
        next(loaded)
    assert str(caught.value) == f"{pieces[0].names[0]}: decoding it failed; save the image again"


def test_a_process_that_dies_ends_the_extraction_with_one_line(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(piece: Piece, **_: object) -> LoadedPiece:
        os._exit(9)

    monkeypatch.setattr(local, "decoding_processes", lambda *_: 2)
    monkeypatch.setattr(local, "load_piece", die)
    with pytest.raises(CacheError) as caught:
        extract(extract_config(tmp_path / "a.h5"))
    assert "\n" not in str(caught.value)
    assert "--workers" in str(caught.value)


def test_processes_that_a_signal_to_all_ends_first_do_not_hide_that_the_run_was_stopped(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled = tmp_path / "signalled"

    def die(piece: Piece, **_: object) -> LoadedPiece:
        signalled.touch()
        os._exit(9)

    monkeypatch.setattr(local, "decoding_processes", lambda *_: 2)
    monkeypatch.setattr(local, "load_piece", die)
    with pytest.raises(Stopped):
        extract(extract_config(tmp_path / "a.h5"), stop=signalled.exists)


@pytest.mark.parametrize(
    ("device", "cores", "devices", "workers", "expected"),
    [
        ("cuda", 16, 1, None, 15),
        ("cuda", 16, 2, None, 15),
        ("cuda", 6, 1, None, 0),  # 5 threads do as well
        ("cuda", 16, 1, 4, 0),
        ("cuda", 16, 1, 8, 8),
        ("cpu", 64, 1, None, 0),
    ],
)
def test_processes_are_for_a_gpu_with_more_cores_than_threads_use(
    device: str, cores: int, devices: int, workers: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "usable_cores", lambda: cores)
    config = ExtractConfig(dataset="demo", out=Path("a.h5"), devices=("cpu",) * devices, workers=workers)
    assert decoding_processes(config, device) == expected


def test_processes_end_with_a_killed_parent(demo_root: Path, tmp_path: Path) -> None:
    code = """
import sys, time
from tests.extraction.executors.test_decoding import (
    SIZE, Path, in_processes, load_piece, multiprocessing, partial, pieces_of,
)
pieces = pieces_of(Path(sys.argv[1])) * 20
readers = in_processes(2, 1, partial(load_piece, size=SIZE, resize="pad"), SIZE)
(read,) = readers.__enter__()
next(read(pieces, 0))
print(*(process.pid for process in multiprocessing.active_children()), flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(demo_root)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
    until = time.monotonic() + 10
    while any(is_running(child) for child in children):
        assert time.monotonic() < until
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
