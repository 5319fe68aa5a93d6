"""The place of the cache: what is there, room, and what the file system can do."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vpar_cache.errors import CacheError, UserError
from vpar_cache.extraction import space
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.extraction.held_cache import HeldCache
from vpar_cache.extraction.tracklet_list import list_tracklets
from vpar_cache.workflows.doctor import disk
from vpar_cache.workflows.doctor.disk import check_file_system, check_held, check_room, file_system_of
from vpar_cache.workflows.doctor.weights import EncoderFound

Make = Callable[..., ExtractConfig]
TINY = EncoderFound((), num_tokens=5, dim=32, image_size=32)


def test_the_room_is_that_which_an_extraction_asks_for(extract_config: Make, tmp_path: Path) -> None:
    config = extract_config(tmp_path / "a.h5", views=3, keep_frames=True)
    dataset = list_tracklets(config, None, lambda line: None)
    check = check_room(config, dataset, HeldCache(None), TINY)
    assert check.state == "ok"
    said: list[str] = []
    extract(config, say=said.append)
    assert check.text.partition(", ")[0] in [line.partition(", ")[0] for line in said]


def test_what_does_not_fit_fails(extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = extract_config(tmp_path / "a.h5")
    dataset = list_tracklets(config, None, lambda line: None)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: usage._replace(free=5000))
    with pytest.raises(CacheError, match=r"5\.0 kB are free"):
        check_room(config, dataset, HeldCache(None), TINY)
    assert "5.0 kB free" in check_room(config, None, HeldCache(None), None).text


def test_a_finished_cache_needs_no_room(extract_config: Make, extracted: Path) -> None:
    config = extract_config(extracted)
    dataset = list_tracklets(config, None, lambda line: None)
    check, held = check_held(config, dataset)
    assert check.state == "ok"
    assert "18 tracklets" in check.text
    assert "nothing to write" in check_room(config, dataset, held, TINY).text


def test_a_cache_of_other_settings_or_somebody_s_own_file_fails(
    extract_config: Make, extracted: Path, tmp_path: Path
) -> None:
    with pytest.raises(CacheError, match="frames"):
        check_held(extract_config(extracted, frames=3), None)
    (tmp_path / "own.h5").write_text("years of work")
    with pytest.raises(UserError, match="no vpar seal"):
        check_held(extract_config(tmp_path / "own.h5"), None)
    assert "nothing there" in check_held(extract_config(tmp_path / "new.h5"), None)[0].text


def test_a_file_system_that_works_is_left_as_it_was(tmp_path: Path) -> None:
    check = check_file_system(tmp_path / "deep" / "down" / "a.h5")
    assert check.state in ("ok", "warning"), "tests may run in memory"
    assert str(tmp_path) in check.text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_a_warning(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(disk.fcntl, "flock", refuse)
    check = check_file_system(tmp_path / "a.h5")
    assert check.state == "warning"
    assert "no locks" in check.text
    assert "one process" in check.text


def test_locks_that_keep_nobody_out_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.fcntl, "flock", lambda *_: None)
    check = check_file_system(tmp_path / "a.h5")
    assert check.state == "warning"
    assert "keep nobody out" in check.text


def test_folders_that_cannot_be_synced_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = disk.os.fsync

    def sync(number: int) -> None:
        if disk.os.path.isdir(f"/proc/self/fd/{number}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(number)

    monkeypatch.setattr(disk.os, "fsync", sync)
    check = check_file_system(tmp_path / "a.h5")
    assert check.state == "warning"
    assert "cannot be synced" in check.text
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_written_fails() -> None:
    check = check_file_system(Path("/proc/a.h5"))
    assert check.state == "fails"
    assert "/proc" in check.text


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "zwei wörter"
    inner.mkdir()
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        f"2 1 0:5 / {tmp_path} rw,noatime shared:1 - nfs4 server:/export rw\n"
        f"3 2 0:6 / {str(inner).replace(' ', chr(92) + '040')} rw - fuse.sshfs far: rw\n"
        "an odd line\n"
    )
    monkeypatch.setattr(disk, "_MOUNTS", mounts)
    assert [file_system_of(folder) for folder in (Path("/"), tmp_path, inner)] == ["ext4", "nfs4", "fuse.sshfs"]
    check = check_file_system(inner / "a.h5")
    assert check.state == "ok"
    assert "network file system" in check.text
    mounts.write_text(f"1 0 8:1 / {tmp_path} rw - tmpfs tmpfs rw\n")
    assert check_file_system(inner / "a.h5").state == "warning"
    monkeypatch.setattr(disk, "_MOUNTS", tmp_path / "absent")
    assert file_system_of(inner) == ""
