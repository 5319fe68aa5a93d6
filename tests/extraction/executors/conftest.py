"""Fixtures for executors in other processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processes import Extractions
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo

SIZE = DemoSize(train_people=20, test_people=20, tracklets_per_person=2, frames=4)
NUM_TRACKLETS, NUM_SHARDS = 80, 20


@pytest.fixture(scope="session")
def extractions(tmp_path_factory: pytest.TempPathFactory) -> Extractions:
    """Of 80 tracklets in 20 shards."""
    return Extractions(write_demo(tmp_path_factory.mktemp("people") / "tracklets", SIZE, 0))


@pytest.fixture(scope="session")
def undisturbed(extractions: Extractions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of an undisturbed local run. Read only."""
    out = tmp_path_factory.mktemp("undisturbed") / "tiny.h5"
    extractions.run(out)
    return out
