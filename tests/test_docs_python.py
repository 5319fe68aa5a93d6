"""docs/python.md runs as it stands, and the package's public names are there."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import vpar_cache
from tests.support.hostile_files import call_vpar
from tests.support.layers import PROJECT
from vpar_cache.datasets.demo.dataset import DemoSize

PAGE = (PROJECT / "docs" / "python.md").read_text("utf-8")
APART = ("python.md", "onnx.md")
"""Pages with a test of their own; that of onnx.md is tests/sharing/test_onnx_page.py."""
OTHER_PAGES = [
    path
    for path in (*sorted((PROJECT / "docs").glob("*.md")), PROJECT / "README.md", PROJECT / "cache" / "README.md")
    if path.name not in APART and "```python" in path.read_text("utf-8")
]


def blocks_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_every_block_runs_after_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = DemoSize(train_people=6, test_people=3, frames=4)  # the page draws more people
    monkeypatch.setattr("vpar_cache.datasets.loaders.DemoSize", lambda: size)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])  # basicConfig does nothing
    names: dict[str, object] = {"__name__": "page"}
    for number, block in enumerate(blocks_of(PAGE)):
        exec(compile(block, f"docs/python.md, block {number + 1}", "exec"), names)
    printed = capsys.readouterr().out
    assert "RANDOM WEIGHTS" in printed
    assert "stopped\n" in printed
    assert "missing.h5" in printed
    board = EventAccumulator("tensorboard").Reload()
    assert [event.step for event in board.Scalars("loss")] == [1, 2]


@pytest.mark.parametrize("page", OTHER_PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_the_blocks_of_other_pages_run_beside_the_files_that_they_name(
    page: Path, example_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(example_folder, tmp_path / "here"))
    shutil.copytree(folder / "cache/runs/RUN", folder / "cache/runs/vtf")
    options = ("--run", "vtf", "street.mp4", "--boxes", "boxes.txt", "--out", "people.parquet")
    assert call_vpar("predict", *options, folder=folder).returncode == 0
    assert call_vpar("export", "--run", "vtf", "--to", "shared/vtf", folder=folder).returncode == 0
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for number, block in enumerate(blocks_of(page.read_text("utf-8"))):
        exec(compile(block, f"{page.name}, block {number + 1}", "exec"), names)
    if page.name == "predict.md":
        assert call_vpar("score", "labelled.parquet", folder=folder).returncode == 0


def test_the_page_shows_every_public_name() -> None:
    hidden = {"__version__", "Features", "Predictor", "Schema"}  # types of what the functions return
    assert {name for name in vpar_cache.__all__ if f"vpar_cache.{name}" not in PAGE} == hidden


@pytest.mark.parametrize("name", vpar_cache.__all__)
def test_a_public_name_is_visible_and_loads(name: str) -> None:
    assert name in dir(vpar_cache)
    assert getattr(vpar_cache, name) is not None


def test_the_list_of_names_is_that_of_the_modules() -> None:
    assert set(vpar_cache.__all__) == {"__version__", *vpar_cache._API}
    with pytest.raises(AttributeError, match="nothing"):
        _ = vpar_cache.nothing  # type: ignore[attr-defined]


def test_python_m_vpar_cache_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "vpar_cache", "--version"], capture_output=True, text=True)
    assert done.stdout == f"vpar-cache {vpar_cache.__version__}\n"
