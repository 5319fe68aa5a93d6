"""Pictures of people on disk: each picture is a person, or each folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vpar_cache.base.files import read_plain
from vpar_cache.datasets.decoding import decode_image
from vpar_cache.datasets.frame_choice import choose_frames
from vpar_cache.datasets.loading import MAX_FILE_BYTES
from vpar_cache.errors import DataError
from vpar_cache.prediction.tracks import Crop, Track

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
LeaveOut = Callable[[str, str], None]
"""Called with the name of a file or folder that cannot be used, and the reason."""


def is_picture(path: Path) -> bool:
    """Return whether a file's name is that of a picture."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def picture_tracks(path: Path, settings: dict[str, Any], one_person: bool, leave_out: LeaveOut) -> Iterator[Track]:
    """Yield each picture at or below `path`; with `one_person` each folder that holds pictures, as one person.

    `settings`: of the run's cache, whose frame rule chooses among the pictures of a person, which are in the order
    of their names. A person with a picture that cannot be read is left out.
    """
    if path.is_file():
        yield from _read(str(path), [path], path, (), leave_out)
        return
    num_found = 0
    for folder in [path, *sorted(entry for entry in path.rglob("*") if entry.is_dir())]:
        pictures = sorted(entry for entry in folder.iterdir() if is_picture(entry) and entry.is_file())
        num_found += len(pictures)
        if not pictures:
            continue
        if not one_person:
            for picture in pictures:
                yield from _read(str(picture), [picture], path, (), leave_out)
            continue
        name = folder.name if folder != path else path.absolute().name
        chosen = Counter(_choose(len(pictures), settings, name))
        files = [pictures[number] for number in sorted(chosen)]
        counts = tuple(chosen[number] for number in sorted(chosen))
        yield from _read(str(folder), files, path, counts, leave_out)
    if not num_found:
        leave_out(str(path), f"no picture is in it; expected files that end in {', '.join(SUFFIXES)}")


def _choose(num_frames: int, settings: dict[str, Any], name: str) -> tuple[int, ...]:
    """Return the frames of a tracklet as an extraction chooses them."""
    if settings["frames"] == "all":
        return tuple(range(num_frames))
    return choose_frames(
        num_frames, int(settings["frames"]), str(settings["sampling"]), int(settings["seed"] or 0), name
    )


def _read(
    name: str, files: list[Path], source: Path, counts: tuple[int, ...], leave_out: LeaveOut
) -> Iterator[Track]:
    crops = []
    for file in files:
        try:
            data = read_plain(file, MAX_FILE_BYTES)
            if len(data) > MAX_FILE_BYTES:
                raise DataError(f"the file is larger than {MAX_FILE_BYTES} bytes")
            crops.append(Crop(np.asarray(decode_image(data))))  # (H, W, 3)
        except DataError as error:
            leave_out(str(file), str(error))
            return
        except OSError as error:
            leave_out(str(file), error.strerror or str(error))
            return
    yield Track(name, str(source), tuple(crops), counts)
