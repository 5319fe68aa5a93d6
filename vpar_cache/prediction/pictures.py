"""Pictures of people on disk: each picture is a person, or each folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from errno import ELOOP
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.files import read_plain
from vpar_cache.cache.format import follow_link
from vpar_cache.datasets.decoding import decode_image
from vpar_cache.datasets.folder import natural_order
from vpar_cache.datasets.frame_choice import choose_frames
from vpar_cache.datasets.loading import MAX_FILE_BYTES
from vpar_cache.errors import DataError
from vpar_cache.prediction.tracks import Crop, Track, text_of

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
LeaveOut = Callable[[str, str], None]
"""Called with the name of a file or folder that cannot be used, and the reason."""


def is_picture(path: Path) -> bool:
    """Return whether a file's name is that of a picture."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def picture_tracks(
    path: Path,
    settings: dict[str, Any],
    one_person: bool,
    leave_out: LeaveOut,
    on_other: Callable[[Path], None] = lambda file: None,
) -> Iterator[Track]:
    """Yield each picture at or below `path`; with `one_person` each folder that holds pictures, as one person.

    `settings`: of the run's cache, whose frame rule chooses among the pictures of a person, which are in the
    natural order of their names, as in an extraction. A person with a picture that cannot be read is left out.
    `on_other`: called with each file that is no picture.
    """
    for folder, pictures in list_pictures(path, leave_out, on_other):
        if not one_person or path.is_file():
            for picture in pictures:
                yield from _read(picture, [picture], path, (), leave_out)
            continue
        name = folder.name if folder != path else path.absolute().name
        chosen = Counter(_choose(len(pictures), settings, name))
        files = [pictures[number] for number in sorted(chosen)]
        counts = tuple(chosen[number] for number in sorted(chosen))
        yield from _read(folder, files, path, counts, leave_out)


def list_pictures(
    path: Path, leave_out: LeaveOut, on_other: Callable[[Path], None] = lambda file: None
) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder at or below `path` that holds pictures, with these, in the natural order of their names.

    A picture that is `path` itself may be a link. Links within a folder may lead anywhere: they are left out.
    """
    if path.is_file():
        yield path.parent, [path]
        return
    num_found = 0
    for at, folders, names in os.walk(path, onerror=lambda error: leave_out(error.filename, error.strerror or "")):
        folders.sort()
        for name in folders:
            if (Path(at) / name).is_symlink():
                leave_out(str(Path(at) / name), "a link, which is not followed; give the folder itself")
        files = [Path(at) / name for name in sorted(names, key=natural_order) if not name.startswith(".")]
        for file in files:
            if not is_picture(file):
                on_other(file)
        if pictures := [file for file in files if is_picture(file)]:
            num_found += len(pictures)
            yield Path(at), pictures
    if not num_found:
        leave_out(
            str(path),
            f"no picture is in it; expected files that end in {', '.join(SUFFIXES)}. Name videos one by one",
        )


def read_picture(file: Path) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3). Raises DataError with the reason alone."""
    try:
        data = read_plain(file, MAX_FILE_BYTES)
    except OSError as error:
        linked = "a link, which is not followed; copy the file"
        raise DataError(linked if error.errno == ELOOP else error.strerror or str(error)) from error
    if len(data) > MAX_FILE_BYTES:
        raise DataError(f"the file is larger than {MAX_FILE_BYTES} bytes")
    return np.asarray(decode_image(data))  # (H, W, 3)


def _choose(num_frames: int, settings: dict[str, Any], name: str) -> tuple[int, ...]:
    """Return the frames of a tracklet as an extraction chooses them."""
    if settings["frames"] == "all":
        return tuple(range(num_frames))
    return choose_frames(
        num_frames, int(settings["frames"]), str(settings["sampling"]), int(settings["seed"] or 0), name
    )


def _read(
    path: Path, files: list[Path], source: Path, counts: tuple[int, ...], leave_out: LeaveOut
) -> Iterator[Track]:
    crops = []
    for file in files:
        try:
            crops.append(Crop(read_picture(follow_link(file) if file == source else file)))  # (H, W, 3)
        except DataError as error:
            leave_out(str(file), str(error))
            return
    yield Track(text_of(path), text_of(source), tuple(crops), counts)
