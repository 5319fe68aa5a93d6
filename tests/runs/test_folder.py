"""The run folder: whole or not at all, and never overwritten unasked."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch

from vpar_cache.errors import CacheError
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.runs.folder import new_run_folder, refuse_finished, write_json, write_model


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
    with pytest.raises(RuntimeError), new_run_folder(folder, overwrite=True):
        raise RuntimeError
    assert (folder / "run.json").read_text() == "old"


def test_a_rename_that_fails_restores_the_old_run(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "run.json").write_text("old")
    with pytest.raises(CacheError), new_run_folder(folder, overwrite=True) as partial:
        partial.rmdir()  # and a file in its place, which cannot be listed
        partial.write_text("")
    assert (folder / "run.json").read_text() == "old"


def test_a_run_published_meanwhile_is_replaced_only_where_overwrite_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "a"

    def write_meanwhile(partial: Path) -> None:
        (partial / "run.json").write_text("ours")
        folder.mkdir(exist_ok=True)
        (folder / "run.json").write_text("theirs")

    with pytest.raises(CacheError, match="--overwrite"), new_run_folder(folder) as partial:
        write_meanwhile(partial)
    assert (folder / "run.json").read_text() == "theirs"
    with new_run_folder(folder, overwrite=True) as partial:
        write_meanwhile(partial)
    assert (folder / "run.json").read_text() == "ours"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_finished_run_is_refused_unless_overwrite_is_asked_for(tmp_path: Path) -> None:
    refuse_finished(tmp_path / "absent", overwrite=False)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(CacheError, match="--overwrite"):
        refuse_finished(tmp_path, overwrite=False)
    refuse_finished(tmp_path, overwrite=True)


@pytest.mark.parametrize(
    "files",
    [
        ["thesis.tex"],
        ["run.json", "thesis.tex"],
        ["metrics.json"],
        ["metrics.json", "card.md", "model.safetensors"],
        [".git"],
    ],
)
def test_a_folder_of_something_else_is_never_overwritten(files: list[str], tmp_path: Path) -> None:
    """A run is known by its run.json."""
    folder = tmp_path / "a"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("years of work")
    with pytest.raises(CacheError, match="is not a run folder"):
        refuse_finished(folder, overwrite=True)
    with pytest.raises(CacheError, match="is not a run folder"), new_run_folder(folder, overwrite=True) as partial:
        (partial / "run.json").write_text("ours")
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(files, "years of work")


def test_a_link_to_a_run_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text("old")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(CacheError, match="is a link"):
        refuse_finished(tmp_path / "b", overwrite=True)


@pytest.mark.parametrize("name", [".DS_Store", "._run.json", ".nfs00000000a1b2", "Thumbs.db", "desktop.ini"])
def test_what_systems_leave_in_any_folder_makes_a_run_no_foreign_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / name).write_text("")
    refuse_finished(folder, overwrite=False)
    (folder / "run.json").write_text("{}")
    refuse_finished(folder, overwrite=True)
    with new_run_folder(folder, overwrite=True) as partial:
        (partial / "run.json").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_all_files_of_a_run_have_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        inputs = ModelInputs(
            train_rates=torch.zeros(1), groups=(slice(0, 1),), group_names=("hat",), row_shape=(1,),
            text=torch.zeros(1, 1), negative=torch.zeros(1, 1), grid=(1, 1), prefix_tokens=0, logit_scale=None,
        )  # fmt: skip
        write_model(tmp_path / "model.safetensors", {"w": torch.zeros(2)}, inputs, {})
        write_json(tmp_path / "run.json", {})
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o644}
