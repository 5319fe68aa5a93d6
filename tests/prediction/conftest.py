"""A small run, and the pictures that its features came from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vpar_cache.datasets.mars import load_mars
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train


@pytest.fixture(scope="session")
def tiny_run(tiny_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the linear model on the small cache. Read only."""
    runs = tmp_path_factory.mktemp("runs")
    return train(TrainConfig(features=tiny_cache, runs=runs, model="linear", epochs=2, device="cpu")).folder


@pytest.fixture(scope="session")
def people(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each tracklet of the small dataset, with its frames. Read only."""
    root = tmp_path_factory.mktemp("people")
    for tracklet in load_mars(demo_root).tracklets:
        folder = root / tracklet.tracklet_id
        folder.mkdir()
        for name in tracklet.frames:
            shutil.copy(tracklet.folder / name, folder / name)
    return root
