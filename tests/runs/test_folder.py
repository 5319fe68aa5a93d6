"""The run folder: whole or not at all, and never overwritten unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpar_cache.errors import CacheError
from vpar_cache.runs.folder import new_run_folder, refuse_finished


def test_a_folder_appears_only_when_its_block_succeeds(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    with pytest.raises(RuntimeError), new_run_folder(folder) as partial:
        (partial / "run.json").write_text("{}")
        raise RuntimeError
    assert list((tmp_path / "runs").iterdir()) == []
    with new_run_folder(folder) as partial:
        (partial / "run.json").write_text("{}")
        assert not folder.exists()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]


def test_what_a_killed_process_left_is_removed_and_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container, where every process has the same number."""
    monkeypatch.setattr("os.getpid", lambda: 7)
    killed = new_run_folder(tmp_path / "a")
    (killed.__enter__() / "run.json").write_text("{}")  # and never left
    (tmp_path / ".b.7-0123abcd.partial").mkdir()  # of another run
    with new_run_folder(tmp_path / "a") as partial:
        (partial / "run.json").write_text("{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.7-0123abcd.partial", "a"]


def test_a_failed_overwrite_leaves_the_old_run(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "run.json").write_text("old")
    with pytest.raises(RuntimeError), new_run_folder(folder):
        raise RuntimeError
    assert (folder / "run.json").read_text() == "old"


def test_a_finished_run_is_refused_unless_overwrite_is_asked_for(tmp_path: Path) -> None:
    refuse_finished(tmp_path / "absent", overwrite=False)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(CacheError, match="--overwrite"):
        refuse_finished(tmp_path, overwrite=False)
    refuse_finished(tmp_path, overwrite=True)


def test_a_folder_of_something_else_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CacheError, match=r"thesis\.tex"):
        refuse_finished(tmp_path, overwrite=True)
