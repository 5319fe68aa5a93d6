"""Hints survive a round trip, merge with what another process wrote, and are never trusted to be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpar_cache.cache.hints import Hints


@pytest.fixture
def index(tmp_path: Path) -> Path:
    (tmp_path / "mars").mkdir()
    return tmp_path / "mars.h5"


def test_what_was_saved_is_read_again(index: Path) -> None:
    hints = Hints(index)
    hints.put("verified", "shard-00000.h5", [1, 2])
    hints.save()
    assert Hints(index).get("verified", "shard-00000.h5") == [1, 2]
    assert Hints(index).get("verified", "shard-00001.h5") is None
    assert Hints(index).get("timing", "shard-00000.h5") is None


def test_two_writers_keep_each_other_s_hints(index: Path) -> None:
    first, second = Hints(index), Hints(index)
    first.put("verified", "a", 1)
    second.put("timing", "b", 2)
    first.save()
    second.save()
    assert (Hints(index).get("verified", "a"), Hints(index).get("timing", "b")) == (1, 2)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"verified": 3}', b"[" * 100_000])
def test_a_foreign_file_is_the_same_as_none(index: Path, content: bytes) -> None:
    (index.with_suffix("") / "hints.json").write_bytes(content)
    hints = Hints(index)
    assert hints.get("verified", "a") is None
    hints.put("verified", "a", 1)
    hints.save()
    assert Hints(index).get("verified", "a") == 1


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    hints = Hints(tmp_path / "absent" / "mars.h5")
    hints.put("verified", "a", 1)
    (tmp_path / "absent").write_text("a file, where the folder should be")
    hints.save()
    assert hints.get("verified", "a") == 1
