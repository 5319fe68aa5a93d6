"""The program of docs/onnx.md, as it stands there, answers what `vpar predict` answers, without torch."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sharing.conftest import MakeRun
from tests.support.layers import PROJECT
from vpar_cache.prediction.predictor import load_run
from vpar_cache.sharing.export import ExportConfig, export_run

(PROGRAM,) = re.findall(r"^```python\n(.*?)^```", (PROJECT / "docs/onnx.md").read_text("utf-8"), re.M | re.S)
ALONE = """
import sys
assert not {"torch", "vpar_cache", "h5py", "open_clip", "timm"} & set(sys.modules), "it needs more than it says"
"""


def compare(run: Path, folder: Path, people: Path, persons: int = 3) -> float:
    """The largest difference of probabilities; the answers themselves must be equal."""
    table = load_run(run, device="cpu", precision="fp32").predict(people, one_person=True).to_pylist()
    largest = 0.0
    for row in table[:persons]:
        command = [sys.executable, "-c", PROGRAM + ALONE, str(folder), row["tracklet_id"]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert len(lines) == 14
        for group, answer, probability in lines:
            name = group.replace(" ", "_")
            assert row[name] == answer, group
            largest = max(largest, abs(float(probability) - row[f"{name}_probability"]))
    return largest


def test_the_program_needs_nothing_but_what_the_page_names() -> None:
    imported = set(re.findall(r"^(?:import|from) (\w+)", PROGRAM, re.M))
    assert imported == {"json", "re", "sys", "pathlib", "numpy", "onnxruntime", "PIL"}


@pytest.mark.slow
def test_the_default_system_gives_the_same_answers(vtf_run: Path, exported: Path, people: Path) -> None:
    assert compare(vtf_run, exported, people) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "model", "settings"),
    [
        (None, "vtf", {"parts": "fixed", "tune_text": True, "logit_norm": True, "layers": 2}),
        (None, "vtf-temporal", {}),
        (None, "linear", {}),
        (None, "videopar", {}),
        (None, "videopar-image", {}),
        (None, "cnn-rnn", {}),
        (None, "3dcnn", {}),
        (None, "zero-shot", {}),
        (None, "prior", {}),
        ("timm:resnet18", "linear", {}),
        ("timm:resnet18", "cnn-rnn", {}),
        ("timm:resnet18", "3dcnn", {}),
        ("timm:vit_tiny_patch16_224", "vtb", {}),
    ],
)
def test_other_systems_and_backbones_give_the_same_answers(
    backbone: str | None, model: str, settings: dict[str, Any], make_run: MakeRun, people: Path, tmp_path: Path
) -> None:
    run = make_run(**{"backbone": backbone} if backbone else {}, model=model, **settings)
    folder = tmp_path / "out"
    export_run(ExportConfig(run=run, to=folder, onnx=True))
    assert compare(run, folder, people, persons=2) < 1e-4


@pytest.mark.slow
def test_a_person_of_few_or_large_crops_is_read_the_same(
    vtf_run: Path, exported: Path, people: Path, tmp_path: Path
) -> None:
    """One frame, and two for a rule of three: frames are repeated."""
    for count, folder in enumerate(sorted(people.iterdir())[:2], start=1):
        (tmp_path / folder.name).mkdir()
        for file in sorted(folder.iterdir())[:count]:
            shutil.copy(file, tmp_path / folder.name)
    assert compare(vtf_run, exported, tmp_path) < 1e-4
