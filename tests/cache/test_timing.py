"""The recorded time of encoding, and what is no record."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vpar_cache.cache.timing import load_encode_seconds, save_timing


def test_seconds_per_tracklet_come_back(tmp_path: Path) -> None:
    save_timing(tmp_path / "mars.h5", seconds=30.0, tracklets=12, device="cpu")
    assert load_encode_seconds(tmp_path / "mars.h5") == 2.5
    assert load_encode_seconds(tmp_path / "duke.h5") is None


def test_a_run_that_encoded_nothing_leaves_the_record(tmp_path: Path) -> None:
    save_timing(tmp_path / "mars.h5", 30.0, 12, "cpu")
    save_timing(tmp_path / "mars.h5", 0.1, 0, "cpu")
    assert load_encode_seconds(tmp_path / "mars.h5") == 2.5


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"encode_seconds_per_tracklet": "x"}', b"\xff", b"[" * 9000, b"1" * 6000],
)
def test_a_foreign_record_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mars").mkdir()
    (tmp_path / "mars" / "timing.json").write_bytes(content)
    assert load_encode_seconds(tmp_path / "mars.h5") is None


def test_a_pipe_or_a_link_is_not_followed(tmp_path: Path) -> None:
    save_timing(tmp_path / "mars.h5", 30.0, 12, "cpu")
    record = tmp_path / "mars" / "timing.json"
    record.rename(tmp_path / "elsewhere.json")
    record.symlink_to(tmp_path / "elsewhere.json")
    assert load_encode_seconds(tmp_path / "mars.h5") is None
    record.unlink()
    os.mkfifo(record)
    assert load_encode_seconds(tmp_path / "mars.h5") is None
