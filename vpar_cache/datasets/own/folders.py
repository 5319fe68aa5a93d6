"""Finds the folders of tracklets under a root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vpar_cache.datasets.folder import MAX_FOLDERS, natural_order, sorted_frames
from vpar_cache.datasets.tracklet import is_plain_name
from vpar_cache.errors import DataError


@dataclass(frozen=True)
class TrackletFolder:
    """A folder with frames."""

    name: str
    """Relative to the root, separated by /: the text of the label file's column `tracklet`."""
    frames: tuple[str, ...]
    """Plain file names in natural order; never empty."""


def find_tracklet_folders(root: Path) -> list[TrackletFolder]:
    """Return each folder under `root` that holds frames, sorted by name; none that is hidden, and no links.

    Raises DataError for more than MAX_FOLDERS folders, and for a name that is not printable text.
    """
    found: list[TrackletFolder] = []
    for number, (at, folders, files) in enumerate(os.walk(root)):
        if number > MAX_FOLDERS:
            raise DataError(f"{root}: got over {MAX_FOLDERS} folders; expected the folder of one dataset")
        folders[:] = [name for name in folders if not name.startswith(".")]
        frames = sorted_frames(name for name in files if not (Path(at) / name).is_symlink())
        name = Path(at).relative_to(root).as_posix()
        if frames and name != ".":
            if not is_plain_name(name) or "\\" in name:
                raise DataError(f"{root}: folder {name!r}: expected printable text without \\. Rename it")
            found.append(TrackletFolder(name, frames))
    return sorted(found, key=lambda folder: natural_order(folder.name))
