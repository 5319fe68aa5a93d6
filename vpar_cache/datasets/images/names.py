"""Names of images in label files, which are untrusted: none may lead out of the dataset."""

from __future__ import annotations

from pathlib import PurePosixPath

from vpar_cache.datasets.folder import FRAME_SUFFIXES
from vpar_cache.datasets.tracklet import is_plain_name
from vpar_cache.errors import DataError

MAX_LENGTH = 1000
"""Of a path, in characters."""


def problem_of_path(text: str) -> str:
    """Return the rule that the path of an image breaks; empty where it is one inside the root."""
    if len(text) > MAX_LENGTH:
        return f"must have at most {MAX_LENGTH} characters; rename it"
    path = PurePosixPath(text)
    if not is_plain_name(text):
        return "must be printable text; rename it"
    if not path.name or path.is_absolute() or ".." in path.parts or "\\" in text:
        return "must be the path of an image inside the root, such as images/00001.png, without .. or \\"
    if path.suffix.lower() not in FRAME_SUFFIXES:
        return f"must end in {', '.join(FRAME_SUFFIXES)}; save the image so"
    return ""


def check_image_name(name: str, where: str, fix: str) -> None:
    """Raise DataError unless `name` is that of an image, without a folder."""
    if problem_of_path(name) or "/" in name:
        raise DataError(f"{where}: got {name[:60]!r}; expected the name of an image, such as 000001.jpg. {fix}")
