"""A small cache without an encoder, and a copy of it to change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.small_caches import SmallCache, write_small_cache


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> SmallCache:
    """Read only."""
    return write_small_cache(tmp_path_factory.mktemp("small") / "mars.h5")


@pytest.fixture(scope="session")
def partly(tmp_path_factory: pytest.TempPathFactory) -> SmallCache:
    """With unknown labels and a validation tracklet. Read only."""
    return write_small_cache(tmp_path_factory.mktemp("partly") / "mars.h5", unknown=True)


@pytest.fixture
def cache(kept: SmallCache, tmp_path: Path) -> SmallCache:
    """A copy to change."""
    shutil.copytree(kept.index.parent, tmp_path / "copy")
    return SmallCache(tmp_path / "copy" / kept.index.name, kept.arrays, kept.contents)
