"""Writes crops of people into the folders of a dataset: a folder a track."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vpar_cache.base.files import partial_path, plain_failures

_JPEG_QUALITY = 95
"""What a lower quality blurs is lost to the labels and to the model."""

WriteCrop = Callable[[int, int, NDArray[np.uint8]], None]
"""Takes the number of a track, the number of a frame, and the crop, (H, W, 3) RGB."""


@contextmanager
def crop_folder(folder: Path) -> Iterator[WriteCrop]:
    """Yield what writes FOLDER/TRACK/FRAME.jpg. The folder appears when the block succeeds, with all its crops.

    Raises CacheError where it cannot be written.
    """
    partial = partial_path(folder)

    def write(track: int, frame: int, crop: NDArray[np.uint8]) -> None:
        file = partial / str(track) / f"{frame:06d}.jpg"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(crop).save(file, quality=_JPEG_QUALITY, subsampling=0)

    with plain_failures(folder):
        try:
            partial.mkdir(parents=True)
            yield write
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
