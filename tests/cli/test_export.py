"""`vpar export`, and `vpar predict` with what it wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.support.hub_cache import fill_hub_cache


@pytest.fixture
def work(tiny_run: Path, people: Path, tmp_path: Path) -> Path:
    """The folder in which `vpar` is called: a run named walk, and crops."""
    shutil.copytree(tiny_run, tmp_path / "cache" / "runs" / "walk")
    for folder in sorted(people.iterdir())[:3]:
        shutil.copytree(folder, tmp_path / "crops" / folder.name)
    return tmp_path


def test_a_run_is_exported_by_its_name_and_predicts_without_it(vpar: Call, work: Path) -> None:
    before = vpar("predict", "--run", "walk", "crops", "--out", "a.jsonl", "--device", "cpu")
    assert (before.returncode, "run: cache/runs/walk\n" in before.stderr) == (0, True)
    done = vpar("export", "--run", "walk", "--to", "shared/walk")
    assert (done.returncode, done.stdout) == (0, "shared/walk\n")
    assert "RANDOM WEIGHTS" in done.stderr
    assert "try it: vpar predict --run shared/walk PICTURES" in done.stderr
    shutil.rmtree(work / "cache")
    after = vpar("predict", "--run", "shared/walk", "crops", "--out", "b.jsonl", "--device", "cpu")
    assert "run: shared/walk, which was exported\n" in after.stderr
    assert (work / "b.jsonl").read_bytes() == (work / "a.jsonl").read_bytes()


def test_predict_takes_a_name_of_the_hub(
    vpar: Call, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    vpar("export", "--run", "walk", "--to", "out")
    fill_hub_cache(tmp_path / "hub", "owner/walk", work / "out")
    done = vpar("predict", "--run", "owner/walk", "crops", "--out", "a.jsonl", "--offline", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "run: owner/walk of the model hub, revision 0123456789ab\n" in done.stderr
    assert "random weights" in json.loads((work / "a.jsonl").read_text("utf-8").splitlines()[0])["note"]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (("export", "--run", "wlak", "--to", "out"), "did you mean 'walk'"),
        (("export", "--run", "walk", "--to", "crops"), "--to: got 'crops'"),
        (("export", "--run", "walk", "--to", "out", "--weights", "openai"), "--weights: only --onnx"),
        (("export", "--run", "walk", "--to", "out", "--license", "MIT License"), "--license: got 'MIT License'"),
        (("predict", "--run", "absent/walk", "crops", "--offline"), "'absent/walk': no such folder here"),
        (("predict", "--run", "a/b/c", "crops", "--offline"), "a/b/c"),
    ],
)
def test_what_is_refused_is_one_line_and_writes_nothing(
    vpar: Call, work: Path, command: tuple[str, ...], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(work / "hub"))
    before = sorted(work.rglob("*"))
    done = vpar(*command)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert problem in done.stderr
    assert sorted(work.rglob("*")) == before
