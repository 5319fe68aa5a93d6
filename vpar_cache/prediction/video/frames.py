"""The frames of a video file or of a MOT sequence folder, one after the other, each once."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.files import read_plain
from vpar_cache.datasets.decoding import decode_image
from vpar_cache.datasets.loading import MAX_FILE_BYTES
from vpar_cache.errors import DataError, UserError
from vpar_cache.prediction.pictures import SUFFIXES

_DEFAULT_RATE = 25.0
"""Frames per second of a sequence without seqinfo.ini."""
_NO_VIDEOS = {"tty", "hls", "dash", "concat", "concatf", "sdp", "imf"}
"""Formats of FFmpeg for plain text, which it would draw, and for lists of other files."""

_PICTURES = ("_pipe", "image2")
"""End the names of FFmpeg's formats for single pictures."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video."""

    number: int
    """From 1, as in MOTChallenge files."""
    second: float
    """From the first frame."""
    picture: NDArray[np.uint8]
    """(H, W, 3) RGB, upright."""


class FrameSource(Protocol):
    """What has frames."""

    path: Path
    length: int | None
    """Number of frames, as far as it is known beforehand."""
    rate: float
    """Frames per second, on average."""
    notes: list[str]
    """What was wrong with it, once its frames were read."""

    def frames(self) -> Iterator[Frame]:
        """Decode from the beginning."""


def open_frames(path: Path) -> FrameSource:
    """Return the frames of a video file, or of a folder with img1/. Raises DataError for anything else."""
    return Sequence(path) if path.is_dir() else Video(path)


def is_sequence(path: Path) -> bool:
    """Return whether a folder is a MOT sequence."""
    return (path / "img1").is_dir()


class Video:
    """A video file, decoded by FFmpeg's libraries."""

    def __init__(self, path: Path) -> None:
        self.path, self.notes = path, list[str]()
        with _opened(path) as container:
            stream = _picture_stream(container, path)
            self.length = int(stream.frames) or None
            self.rate = float(stream.average_rate or stream.guessed_rate or _DEFAULT_RATE)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames with their own times, turned as the file says.

        A file that ends in mid-frame, or is damaged, gives the frames before; `notes` says so.
        """
        import av

        self.notes = []
        number, first = 0, 0.0
        with _opened(self.path) as container:
            stream = _picture_stream(container, self.path)
            stream.thread_type = "AUTO"
            decoded = container.decode(stream)
            while True:
                try:
                    frame = next(decoded)
                except StopIteration:
                    break
                except av.error.FFmpegError as error:
                    self.notes.append(f"damaged after frame {number} ({_reason(error)}); the rest is left out")
                    break
                second = number / self.rate if frame.time is None else float(frame.time)
                first = second if number == 0 else first
                number += 1
                picture = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90 % 4)  # (H, W, 3)
                yield Frame(number, max(0.0, second - first), np.ascontiguousarray(picture))
        if not number:
            raise DataError(f"{self.path}: no frame of it can be decoded; convert it to MP4 with H.264")
        if self.length and number < self.length and not self.notes:
            self.notes.append(f"has {number} frames, its header says {self.length}: it was cut off")


class Sequence:
    """A folder in the layout of MOTChallenge: img1/000001.jpg, ..., and seqinfo.ini."""

    def __init__(self, path: Path) -> None:
        self.path, self.notes = path, list[str]()
        folder = path / "img1"
        named = [f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and f.stem.isdecimal()]
        self._files = sorted(named, key=lambda file: int(file.stem))
        if not self._files:
            raise DataError(f"{folder}: no picture is in it; expected 000001.jpg and so on")
        self._from_0 = int(self._files[0].stem) == 0
        self.length: int | None = self._number(self._files[-1])
        self.rate = _rate_of(path / "seqinfo.ini")

    def frames(self) -> Iterator[Frame]:
        """Yield the pictures; a file's name is its frame number. Names from 0 are counted from 1."""
        self.notes = ["its pictures are counted from 0; here they are counted from 1"] if self._from_0 else []
        if missing := (self.length or 0) - len(self._files):
            self.notes.append(f"{missing} of {self.length} frames are missing")
        for file in self._files:
            number = self._number(file)
            try:
                picture = np.asarray(decode_image(read_plain(file, MAX_FILE_BYTES)))  # (H, W, 3)
            except (DataError, OSError) as error:
                self.notes.append(f"{file.name} is left out: {error}")
                continue
            yield Frame(number, (number - 1) / self.rate, picture)

    def _number(self, file: Path) -> int:
        return int(file.stem) + self._from_0


def _rate_of(path: Path) -> float:
    if not path.is_file():
        return _DEFAULT_RATE
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_plain(path, 1 << 16).decode("utf-8"))
        rate = parser.getfloat("Sequence", "frameRate", fallback=_DEFAULT_RATE)
    except (configparser.Error, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read ({str(error)[:100]}); expected frameRate=25 in [Sequence]"
        ) from error
    if not 0 < rate < 1e6:
        raise DataError(f"{path}: frameRate is {rate:g}; expected frames per second")
    return rate


def _opened(path: Path) -> Any:
    """Return PyAV's open container. Raises UserError without PyAV, DataError for what is no video."""
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"{path}: reading a video needs the package av ({error}); install it with `pip install "
            "'vpar-cache[video]'`"
        ) from error
    if not path.is_file():
        raise DataError(f"{path}: not a regular file; copy it to a file on disk")
    try:
        # A playlist must not lead to the network.
        container = av.open(
            str(path.absolute()), metadata_errors="replace", options={"protocol_whitelist": "file"}
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{path}: not a video that can be read ({_reason(error)})") from error
    name = container.format.name
    if name in _NO_VIDEOS or name.endswith(_PICTURES):
        container.close()
        if name.endswith(_PICTURES):
            raise DataError(
                f"{path}: got a picture ({name} to FFmpeg); expected a video, or a picture whose name ends in "
                f"{', '.join(SUFFIXES)}. Convert or rename it"
            )
        raise DataError(f"{path}: got a file of text ({name} to FFmpeg); expected a video")
    return container


def _picture_stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise DataError(
            f"{path}: has no pictures, only {', '.join(s.type for s in container.streams) or 'nothing'}"
        )
    return container.streams.video[0]


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error))[:100]
