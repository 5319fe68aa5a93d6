"""owner/name: a run in the model hub's cache, or fetched from a hub, each in a process with its own HF_HOME."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from tests.support.hub_cache import REVISION, fill_hub_cache, hub_server
from vpar_cache.errors import CacheError
from vpar_cache.prediction.predictor import load_run
from vpar_cache.sharing.hub import hub_folder, is_hub_name

CODE = """
import json, sys
import vpar_cache
from vpar_cache.errors import VparError
try:
    run = vpar_cache.load_run(sys.argv[1], offline=sys.argv[2] == "offline")
    print(json.dumps({"thresholds": run.threshold.tolist(), "mark": run.mark}))
except VparError as error:
    print(json.dumps({"error": str(error)}))
"""


def load_apart(name: str, home: Path, cwd: Path, offline: bool = False, **environment: str) -> Any:
    """What load_run gives in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, name, "offline" if offline else ""],
        env={**os.environ, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache of this process: an empty folder. The hub itself is never asked."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("how", ["option", "environment"])
@pytest.mark.slow
def test_a_run_in_the_cache_of_the_hub_loads_offline(how: str, exported: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    fill_hub_cache(home / "hub", "owner/name", exported)
    settings: dict[str, Any] = {"offline": True} if how == "option" else {"HF_HUB_OFFLINE": "1"}
    with hub_server("owner/name", exported, asked := []) as address:
        found = load_apart("owner/name", home, tmp_path, HF_ENDPOINT=address, **settings)
    assert asked == []
    assert found == {"thresholds": load_run(exported).threshold.tolist(), "mark": load_run(exported).mark}


@pytest.mark.slow  # four processes
def test_a_run_is_fetched_from_a_hub_and_then_needs_it_no_more(exported: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with hub_server("owner/name", exported, asked := []) as address:
        found = load_apart("owner/name", home, tmp_path, HF_ENDPOINT=address)
        assert asked
        assert found["thresholds"] == load_run(exported).threshold.tolist()
        absent = load_apart("owner/other", home, tmp_path, HF_ENDPOINT=address)
        assert "the model hub shows none of that name" in absent["error"]
        asked.clear()
        assert load_apart("owner/name", home, tmp_path, offline=True, HF_ENDPOINT=address) == found
        assert asked == []
    names = {path.name for path in (home / "hub").rglob("snapshots/*/*")}
    assert names == {"config.json", "model.safetensors"}


@pytest.mark.slow
def test_a_hub_repository_without_an_exported_run_is_said(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    with hub_server("owner/name", tmp_path / "other") as address:
        found = load_apart("owner/name", tmp_path / "home", tmp_path, HF_ENDPOINT=address)
    assert "has no config.json and model.safetensors" in found["error"]
    assert "\n" not in found["error"]


@pytest.mark.slow  # the client tries several times
def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    found = load_apart("owner/name", tmp_path / "home", tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert "cannot be reached" in found["error"]
    assert "\n" not in found["error"]


@pytest.mark.parametrize(
    "left_out", [("config.json",), ("model.safetensors",), ("config.json", "model.safetensors")]
)
@pytest.mark.slow
def test_what_is_not_whole_in_the_cache_is_an_error_offline(
    left_out: tuple[str, ...], cache: Path, exported: Path
) -> None:
    fill_hub_cache(cache, "owner/name", exported, leave_out=left_out)
    with pytest.raises(
        CacheError, match=r"'owner/name'.*not whole in the hub's cache .*/hub.*\(offline\)"
    ) as error:
        load_run("owner/name", offline=True)
    assert "\n" not in str(error.value)


def test_a_run_that_is_not_in_the_cache_is_an_error_offline(cache: Path) -> None:
    with pytest.raises(CacheError, match=r"'owner/name'.*no such folder.*\(offline\)"):
        load_run("owner/name", offline=True)


@pytest.mark.parametrize(
    "name", ["ow ner/name", "owner/na:me", "owner/-", "owner/näme", "owner/na\nme", "a..b/c", "a/b--c"]
)
def test_a_malformed_name_is_an_error_before_anybody_is_asked(name: str, cache: Path) -> None:
    with pytest.raises(CacheError, match=r"no name of the model hub.*OWNER/NAME"):
        hub_folder(name, offline=False)
    assert not cache.exists()


@pytest.mark.parametrize("name", ["name", "a/b/c", "/a", "a/", "./a", "../a", "~/a", ""])
def test_a_path_is_no_name_of_the_hub(name: str, cache: Path) -> None:
    assert not is_hub_name(name)
    with pytest.raises(CacheError, match="no such folder"):
        load_run(name or "absent")


@pytest.mark.slow
def test_a_path_object_is_never_a_name_of_the_hub(cache: Path, exported: Path) -> None:
    fill_hub_cache(cache, "owner/name", exported)
    with pytest.raises(CacheError, match="no such folder"):
        load_run(Path("owner/name"), offline=True)


@pytest.mark.slow
def test_the_revision_is_that_of_the_branch_main(cache: Path, exported: Path) -> None:
    assert hub_folder_of(cache, exported).name == REVISION


def hub_folder_of(cache: Path, exported: Path) -> Path:
    fill_hub_cache(cache, "owner/name", exported)
    return hub_folder("owner/name", offline=True)
