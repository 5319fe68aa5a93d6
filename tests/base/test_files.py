"""A published file is complete or absent; hashes are those of the bytes."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from vpar_cache.base import files
from vpar_cache.base.files import PARTIAL_SUFFIX, atomic_path, write_text
from vpar_cache.errors import CacheError


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


def test_leftovers_of_a_file_are_removed_and_nothing_else(tmp_path: Path) -> None:
    leftovers = [".mars.h5.17-0123abcd.partial", ".mars.h5.99999-ffffffff.partial"]
    others = [
        ".duke.h5.17-0123abcd.partial",
        ".mars.h5.partial",
        "mars.h5.17-0123abcd.partial",
        "mars.h5",
        ".mars.h5",
    ]
    for name in leftovers + others:
        (tmp_path / name).write_bytes(b"")
    files.remove_leftovers(tmp_path / "mars.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
    files.remove_leftovers(tmp_path / "absent" / "mars.h5")


def test_a_partial_name_is_one_that_counts_as_a_leftover(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "mars.h5") as partial:
        partial.write_bytes(b"")
        copy = partial.read_bytes()
        name = partial.name
    (tmp_path / name).write_bytes(copy)
    files.remove_leftovers(tmp_path / "mars.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["mars.h5"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "?"), "a.bin: No space left on device (error 28); free some space, then run"),
        (OSError(errno.EDQUOT, "?"), f"(error {errno.EDQUOT}); free some space, or raise your quota"),
        (OSError(errno.EIO, "?"), "a.bin: Input/output error (error 5); check the disk or the network"),
        (OSError(errno.ENODEV, "?"), "(error 19); see with --debug"),  # not every error is the disk's
        (
            PermissionError(errno.EACCES, "?", "other.bin"),
            "other.bin: Permission denied (error 13); make the folder writable",
        ),
        (ValueError("I/O error: No space left (os error 28)"), "a.bin: No space left on device (error 28)"),
    ],
)
def test_a_write_that_fails_is_one_line(tmp_path: Path, error: Exception, message: str) -> None:
    def fail() -> None:
        with atomic_path(tmp_path / "a.bin"):
            raise error

    with pytest.raises(CacheError) as caught:
        fail()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_bug_stays_a_bug(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_path(tmp_path / "a.bin"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def test_a_regular_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"0123456789")
    assert files.read_plain(path, 10) == b"0123456789"
    assert files.read_plain(path, 4) == b"01234"


def test_links_pipes_and_folders_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "a.bin")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", ".", "absent"):
        with pytest.raises(OSError):
            files.read_plain(tmp_path / name, 10)


@pytest.mark.parametrize("call", ["fsync", "open"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_after_the_rename_only_a_full_disk_is_an_error(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network mounts cannot sync folders, and say so with any error."""
    original = getattr(os, call)

    def fail(what: object, *rest: object) -> object:
        is_folder = what == tmp_path or (isinstance(what, int) and Path(f"/proc/self/fd/{what}").is_dir())
        if is_folder:
            raise OSError(number, os.strerror(number))
        return original(what, *rest)

    monkeypatch.setattr(files.os, call, fail)
    if number in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(CacheError, match="free some space"):
            write_text(tmp_path / "a.txt", "text")
    else:
        write_text(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.txt").read_bytes() == b"text"


def test_leftovers_in_a_folder_are_those_of_the_names_that_match(tmp_path: Path) -> None:
    for name in (".a1.17-0123abcd.partial", ".b1.17-0123abcd.partial", "a2", ".thesis.partial"):
        (tmp_path / name).write_bytes(b"")
    files.remove_leftovers_in(tmp_path, re.compile(r"a\d"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b1.17-0123abcd.partial", ".thesis.partial", "a2"]


@pytest.mark.parametrize(
    ("number", "fix"), [(errno.EACCES, "right to read"), (errno.EMFILE, "ulimit -n"), (errno.EIO, "disk")]
)
def test_a_file_that_cannot_be_read_now_may_be_intact(number: int, fix: str) -> None:
    message = str(files.read_failure(Path("cache/a.h5"), OSError(number, "?")))
    assert message.startswith(f"cache/a.h5: it cannot be read: {os.strerror(number)} (error {number})")
    assert "may be intact" in message
    assert fix in message
