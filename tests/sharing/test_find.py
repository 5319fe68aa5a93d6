"""What a user names as a run: what is on this machine comes first, and a line says which was used."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub
import pytest

from tests.sharing.conftest import edit_json
from tests.support.hub_cache import REVISION, fill_hub_cache
from vpar_cache.errors import CacheError
from vpar_cache.sharing.find import open_run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Path) -> Path:
    """An empty working folder; owner/name is in the cache of the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    fill_hub_cache(tmp_path / "hub", "owner/name", exported)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def used(run: str) -> str:
    """The line that says which run was used."""
    said: list[str] = []
    open_run(run, Path("runs"), offline=True, say=said.append)
    (line,) = said
    return line


@pytest.mark.slow
def test_the_hub_is_used_where_nothing_here_has_that_name(here: Path) -> None:
    assert used("owner/name") == f"run: owner/name of the model hub, revision {REVISION[:12]}"


def test_a_repository_that_also_holds_a_run_json_is_checked_all_the_same(here: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--owner--name" / "snapshots" / REVISION
    (snapshot / "run.json").write_text("{}")
    edit_json(snapshot / "config.json", sha256={"model.safetensors": "0" * 64})
    with pytest.raises(CacheError, match="SHA-256"):
        used("owner/name")


def test_a_name_too_long_for_a_folder_is_one_line(here: Path) -> None:
    with pytest.raises(CacheError, match=r"xxx.*no"):
        used("x" * 5000)


@pytest.mark.slow
def test_a_folder_comes_before_the_hub(here: Path, exported: Path) -> None:
    shutil.copytree(exported, here / "owner" / "name")
    assert used("owner/name") == "run: owner/name, which was exported"


def test_a_run_below_runs_comes_before_the_hub(here: Path, vtf_run: Path) -> None:
    shutil.copytree(vtf_run, here / "runs" / "owner" / "name")
    assert used("owner/name") == "run: runs/owner/name"


@pytest.mark.slow
def test_a_folder_that_is_a_run_comes_before_a_name_and_one_that_is_none_after(
    here: Path, vtf_run: Path, exported: Path
) -> None:
    shutil.copytree(vtf_run, here / "runs" / "a")
    (here / "a").mkdir()
    assert used("a") == "run: runs/a"
    (here / "a").rmdir()
    shutil.copytree(exported, here / "a")
    assert used("a") == "run: a, which was exported"


def test_a_folder_that_is_no_run_hides_the_hub_and_is_named(here: Path) -> None:
    (here / "owner" / "name").mkdir(parents=True)
    with pytest.raises(CacheError, match=r"owner/name/config\.json is missing.*neither"):
        used("owner/name")


def test_a_wrong_name_is_answered_with_the_names_that_there_are(here: Path, vtf_run: Path) -> None:
    shutil.copytree(vtf_run, here / "runs" / "walkers")
    with pytest.raises(CacheError, match="did you mean 'walkers'"):
        used("walker")
