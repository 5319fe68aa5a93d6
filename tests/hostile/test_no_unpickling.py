"""Nothing in the project unpickles, or runs code that it read. For commands see test_journey.py."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from tests.support.hostile_files import bounded
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for folder in ("vpar_cache", "cli", "benchmarks") for path in (PROJECT / folder).rglob("*.py")
)

UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
ALLOWED_IMPORTS = {("weights.py", "pickle.UnpicklingError")}
"""It names the error alone."""
RUNS_CODE = {"eval", "exec", "compile", "__import__", "read_pickle", "unsafe_load", "full_load"}


def dotted(node: ast.expr) -> str:
    """torch.jit.load of `torch.jit.load(...)`; .eval of `model.float().eval()`."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id if isinstance(node, ast.Name) else "", *reversed(parts)])


def violations(source: str, name: str = "") -> list[str]:
    """What in this Python text could run code from a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            if node.module in ("torch", "torch.serialization", "numpy") and any(
                alias.name == "load" for alias in node.names
            ):
                found.append(f"line {node.lineno}: load without its module's name, which hides it from this test")
        found += [
            f"imports {n}" for n in names if n.split(".")[0] in UNPICKLERS and (name, n) not in ALLOWED_IMPORTS
        ]
        if isinstance(node, ast.Call):
            function = dotted(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if function in ("torch.load", "torch.serialization.load") and given.get("weights_only") != "True":
                found.append(f"line {node.lineno}: {function} without weights_only=True")
            if given.get("allow_pickle", "False") != "False":
                found.append(f"line {node.lineno}: {function} may unpickle")
            if given.get("weights_only", "True") != "True":
                found.append(f"line {node.lineno}: {function} with weights_only={given['weights_only']}")
            method = function.rpartition(".")[2]
            if function in RUNS_CODE or method in RUNS_CODE - {"eval", "compile"} or function == "torch.jit.load":
                found.append(f"line {node.lineno}: {function}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_source_unpickles_or_runs_what_it_reads(path: Path) -> None:
    assert violations(path.read_text("utf-8"), path.name) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import joblib as j",
        "from torch import load",
        "torch.load(path)",
        "torch.load(path, weights_only=trusted)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "eval(text)",
        "exec(text)",
    ],
)
def test_this_test_sees(line: str) -> None:
    assert violations(line) != []


def test_what_is_harmless_is_none() -> None:
    for line in (
        "model.eval()",
        "re.compile(x)",
        "torch.load(p, weights_only=True)",
        "json.load(f)",
        "np.load(p)",
    ):
        assert violations(line) == []


class Program:
    """Unpickling it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.mkdir, (str(self.target),)


HUB: dict[str, tuple[str, str, str, str]] = {
    "open_clip": ("models--vpar--tiny", "open_clip_pytorch_model.bin", "tiny", "openai"),
    "timm": ("models--timm--resnet18.a1_in1k", "pytorch_model.bin", "timm:resnet18", "pretrained"),
}


@pytest.mark.parametrize("damage", ["a program", "cut short"])
@pytest.mark.parametrize("case", HUB.values(), ids=HUB.keys())
def test_a_pickle_or_a_damaged_file_among_the_hubs_weights_is_refused_and_not_run(
    case: tuple[str, str, str, str],
    damage: str,
    tiny_backbone: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The libraries load these by themselves."""
    folder, file, backbone, weights = case
    tags = {"openai": {"hf_hub": "vpar/tiny/", "quick_gelu": True}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_backbone, tags)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub" / folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (tmp_path / "hub" / folder / "refs").mkdir()
    (tmp_path / "hub" / folder / "refs" / "main").write_text("0" * 40)
    state: dict[str, Any] = {"logit_scale": np.float64(1), "x": Program(tmp_path / "executed")}
    if damage == "a program":
        torch.save(state, snapshot / file)
    else:
        cut = snapshot / file.replace("pytorch_model.bin", "model.safetensors")
        save_file({"x": torch.zeros(100)}, cut)
        cut.write_bytes(cut.read_bytes()[:-100])
    name, cpu = tiny_backbone if backbone == "tiny" else backbone, torch.device("cpu")
    architectures = (path.parent for path in open_clip.factory._MODEL_CONFIG_PATHS)
    with pytest.raises(UserError, match=r"FILE\.safetensors"), bounded(tmp_path, *architectures):
        Encoder(name, weights, device=cpu, precision="fp32", normalize="own", offline=True)
    assert not (tmp_path / "executed").exists()
