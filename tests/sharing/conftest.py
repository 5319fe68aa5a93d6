"""Runs of several systems and backbones, and their exported folders. All are read only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_clip import TINY_BACKBONE
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.sharing.export import ExportConfig, export_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train

MakeRun = Callable[..., Path]


@pytest.fixture(scope="session")
def make_run(extract_config: Callable[..., ExtractConfig], tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Train a system on a cache of a backbone, in fp32; the same call gives the same run."""

    @cache
    def cached(backbone: str, keep_frames: bool, text: str) -> Path:
        out = tmp_path_factory.mktemp("cache") / "a.h5"
        size = {"frames": 3, "keep_frames": keep_frames, "text": text}
        return extract(extract_config(out, backbone=backbone, **size)).index

    @cache
    def trained(backbone: str, model: str, settings: tuple[tuple[str, Any], ...]) -> Path:
        text = "none" if backbone.startswith("timm:") and model != "vtb" else "auto"
        index = cached(backbone, model in ("vtf-temporal", "3dcnn"), text)
        small = {"dim": 32, "heads": 2, "epochs": 2, "lr": 0.01, "device": "cpu", "precision": "fp32"}
        runs = tmp_path_factory.mktemp("runs")
        return train(TrainConfig(features=index, runs=runs, model=model, **{**small, **dict(settings)})).folder

    return lambda backbone=TINY_BACKBONE, model="vtf", **settings: trained(
        backbone, model, tuple(sorted(settings.items()))
    )


@pytest.fixture(scope="session")
def vtf_run(make_run: MakeRun) -> Path:
    """A run of the default system on a tiny CLIP."""
    return make_run()


@pytest.fixture(scope="session")
def exported(vtf_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its exported folder, with ONNX; the run that it was made from is gone."""
    root = tmp_path_factory.mktemp("exported")
    run = Path(shutil.copytree(vtf_run, root / "run"))
    export_run(ExportConfig(run=run, to=root / "first", onnx=True, offline=True))
    shutil.rmtree(run)
    return Path(shutil.move(root / "first", root / "elsewhere"))


@pytest.fixture
def own_copy(exported: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(exported, tmp_path / "vtf"))


def edit_json(path: Path, **changes: Any) -> None:
    """Replace fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")
