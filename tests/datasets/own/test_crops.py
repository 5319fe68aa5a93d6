"""Folders of crops appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vpar_cache.datasets.own.crops import crop_folder
from vpar_cache.errors import CacheError

RAMP = np.stack(np.broadcast_arrays(*np.ogrid[0:60, 0:40], 7), axis=2).astype(np.uint8)  # (60, 40, 3)


def test_a_crop_is_what_was_written(tmp_path: Path) -> None:
    with crop_folder(tmp_path / "crops/v") as write:
        write(3, 12, RAMP)
        write(3, 7, RAMP[:20])
        write(40, 1_234_567, RAMP)
        assert not (tmp_path / "crops/v").exists()
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg"))
    assert files == ["crops/v/3/000007.jpg", "crops/v/3/000012.jpg", "crops/v/40/1234567.jpg"]
    with Image.open(tmp_path / "crops/v/3/000012.jpg") as image:
        pixels = np.asarray(image).astype(int)  # (60, 40, 3)
    assert np.abs(pixels - RAMP).max() <= 3


def test_a_failure_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="the disk is gone"), crop_folder(tmp_path / "v") as write:
        write(3, 12, RAMP)
        raise OSError("the disk is gone")
    assert list(tmp_path.iterdir()) == []
