"""Nothing in the project unpickles, or runs code that it read. For commands see test_journey.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from tests.support.encoders import make_encoder
from tests.support.hostile_files import Program, bounded
from vpar_cache.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for folder in ("vpar_cache", "cli", "benchmarks") for path in (PROJECT / folder).rglob("*.py")
)

UNSAFE = re.compile(
    r"""
    ^\s*(import|from)\s+(pickle|_pickle|dill|cloudpickle|joblib|shelve|marshal)\b(?!\ import\ UnpicklingError$)
    | ^from\ (torch|torch\.serialization|numpy)\ import\ .*\bload\b
    | \btorch\.load\((?![^()]*weights_only=True)
    | allow_pickle=(?!False) | weights_only=(?!True)
    | \bread_pickle\( | \bjit\.load\( | \bunsafe_load\( | (?<![.\w])(eval|exec|compile|__import__)\(
    """,
    re.MULTILINE | re.VERBOSE,
)
"""What could run code from a file."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_source_unpickles_or_runs_what_it_reads(path: Path) -> None:
    assert UNSAFE.search(path.read_text("utf-8")) is None


@pytest.mark.parametrize(
    ("line", "unsafe"),
    [
        ("import pickle", True),
        ("import joblib as j", True),
        ("from torch import load", True),
        ("torch.load(path)", True),
        ("torch.load(\n    path,\n    weights_only=trusted)", True),
        ("np.load(path, allow_pickle=True)", True),
        ("eval(text)", True),
        ("model.eval()", False),
        ("re.compile(x)", False),
        ("torch.load(p, weights_only=True)", False),
        ("json.load(f)", False),
    ],
)
def test_this_test_sees_what_is_unsafe_and_nothing_else(line: str, unsafe: bool) -> None:
    assert bool(UNSAFE.search(line)) is unsafe


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
    name = tiny_backbone if backbone == "tiny" else backbone
    architectures = (path.parent for path in open_clip.factory._MODEL_CONFIG_PATHS)
    with pytest.raises(UserError, match=r"FILE\.safetensors"), bounded(tmp_path, *architectures):
        make_encoder(name, weights)
    assert not (tmp_path / "executed").exists()
