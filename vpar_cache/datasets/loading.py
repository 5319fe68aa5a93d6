"""Read and decode the frames of tracklets, ahead of the encoder and in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from errno import ELOOP
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.files import read_plain
from vpar_cache.base.hashing import hash_bytes
from vpar_cache.datasets.decoding import decode_frame
from vpar_cache.datasets.frame_choice import Source, digest_source
from vpar_cache.datasets.tracklet import Tracklet
from vpar_cache.errors import DataError

MAX_FILE_BYTES = 64 << 20
PIECE_FRAMES = 16
"""Where all frames of a tracklet are taken: how many one thread decodes before the next may share the work."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Piece:
    """A tracklet, or some consecutive frames of one that may be too long to hold at once."""

    source: Source
    names: tuple[str, ...]
    last: bool
    """Whether the tracklet ends here."""


@dataclass(frozen=True)
class LoadedPiece:
    """The decoded frames of a piece, or the reason why there are none."""

    piece: Piece
    hashes: list[str]
    """Of the files' contents, for digest_source."""
    frames: dict[str, NDArray[np.uint8]]
    """(S, S, 3) each, by file name, without jitter; empty where `reason` is given."""
    reason: str = ""


def cut(source: Source, length: int | None) -> Iterator[Piece]:
    """Yield the pieces of a tracklet, each of at most `length` frames. None: one piece."""
    names = source.files()
    step = length or len(names)
    for start in range(0, len(names), step):
        yield Piece(source, names[start : start + step], last=start + step >= len(names))


def load_piece(piece: Piece, size: int, resize: str) -> LoadedPiece:
    """Read and decode a piece. A bad frame gives a reason, not an exception."""
    folder = piece.source.tracklet.folder
    frames: dict[str, NDArray[np.uint8]] = {}
    hashes: list[str] = []
    reason = ""
    for name in piece.names:
        try:
            data = read_frame(piece.source.tracklet, name)
        except OSError as error:
            hashes.append(f"unreadable {error.errno}")
            why = "a link, which is not followed; copy the file" if error.errno == ELOOP else error.strerror
            reason = reason or f"{name}: {why}"
            continue
        hashes.append(hash_bytes(data))
        if not reason:
            try:
                if len(data) > MAX_FILE_BYTES:
                    raise DataError(f"the file is larger than {MAX_FILE_BYTES} bytes")
                frames[name] = decode_frame(data, size, resize)  # (S, S, 3)
            except DataError as error:
                reason = f"{name}: {error}"
            except Exception as error:  # not a known fault of a file: do not leave it out silently
                raise DataError(
                    f"{folder / name}: decoding it failed ({type(error).__name__}: {error}); save the image "
                    "again, or run the same command again with --debug: finished shards are kept"
                ) from error
    return LoadedPiece(piece, hashes, {} if reason else frames, reason)


def hash_tracklet(source: Source) -> str:
    """Return the digest of a tracklet's files, as loading all its pieces gives, without decoding."""
    hashes = []
    for name in source.files():
        try:
            hashes.append(hash_bytes(read_frame(source.tracklet, name)))
        except OSError as error:
            hashes.append(f"unreadable {error.errno}")
    return digest_source(source, hashes)


def read_frame(tracklet: Tracklet, name: str) -> bytes:
    """Return the bytes of a frame's file, cut one byte beyond the limit.

    Raises OSError for a link, unless it leads into `tracklet.links_into`.
    """
    path = tracklet.folder / name
    if tracklet.links_into is not None:
        real = Path(os.path.realpath(path))
        if real.is_relative_to(tracklet.links_into):
            path = real
    return read_plain(path, MAX_FILE_BYTES)


def map_ahead(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[Result, None, None]:
    """Yield results in the order of `items`, at most `ahead` of them computed or waiting; none after closing."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
