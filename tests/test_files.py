"""A published file is complete or absent; hashes are those of the bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3

from vpar_cache import files
from vpar_cache.files import PARTIAL_SUFFIX, atomic_path, hash_bytes, hash_file, write_text


def test_nothing_has_the_final_name_before_the_block_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data.bin"
    with atomic_path(path) as partial:
        partial.write_bytes(b"whole")
        assert not path.exists()
        assert partial.parent == path.parent, "a rename must stay in one file system"
        assert partial.name.endswith(PARTIAL_SUFFIX)
    assert path.read_bytes() == b"whole"
    assert [p.name for p in path.parent.iterdir()] == ["data.bin"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_path(path) as partial:
            partial.write_bytes(b"half of the n")
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        fail()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin"]


def test_bytes_are_synced_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(descriptor: int) -> None:
        order.append("sync folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "sync file")  # noqa: PTH112
        fsync(descriptor)

    def spy_replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(files.os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    write_text(tmp_path / "a.txt", "text")
    assert order == ["sync file", "rename", "sync folder"]


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Fußgänger 行人")
    assert (tmp_path / "a.txt").read_bytes() == "Fußgänger 行人".encode()


@pytest.mark.parametrize("skip", [0, 1, 512, 10_000])
def test_a_hash_is_blake3_of_the_bytes_after_the_skipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skip: int
) -> None:
    monkeypatch.setattr(files, "_CHUNK_BYTES", 1000)  # several chunks, the last one short
    data = os.urandom(8765)
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    seen: list[int] = []
    assert hash_file(path, skip=skip, progress=seen.append) == blake3(data[skip:]).hexdigest()
    assert hash_bytes(data) == blake3(data).hexdigest()
    assert sum(seen) == len(data[skip:])
