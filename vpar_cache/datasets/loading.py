"""Reading and decoding tracklets on threads, ahead of the encoder and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from errno import ELOOP
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.files import hash_bytes, read_plain
from vpar_cache.datasets.draws import Source, digest_source
from vpar_cache.datasets.frames import apply_jitter, decode_frame
from vpar_cache.errors import DataError

MAX_FILE_BYTES = 64 << 20
PIECE_FRAMES = 16
"""Where all frames of a tracklet are taken: how many one thread decodes before the next may share the work."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class LoadedTracklet:
    """Decoded draws of one tracklet, or the reason why there are none."""

    source: Source
    digest: str
    """Of the bytes that were decoded, see digest_source."""
    draws: NDArray[np.uint8] | None
    """(1 + K, T, S, S, 3)"""
    reason: str = ""


@dataclass(frozen=True)
class Piece:
    """Consecutive frames of a tracklet that is taken whole: it may have too many to hold at once."""

    source: Source
    names: tuple[str, ...]
    last: bool


@dataclass(frozen=True)
class LoadedPiece:
    """Decoded frames of a piece, or the reason why there are none."""

    piece: Piece
    hashes: list[str]
    """Of the files' contents, for digest_source."""
    frames: NDArray[np.uint8] | None
    """(t, S, S, 3), not jittered"""
    reason: str = ""


def cut(source: Source, length: int) -> Iterator[Piece]:
    """The pieces of a tracklet, each of `length` frames, the last of what is left."""
    names = source.files()
    for start in range(0, len(names), length):
        yield Piece(source, names[start : start + length], last=start + length >= len(names))


def load_piece(piece: Piece, size: int, resize: str) -> LoadedPiece:
    """Read and decode a piece; a bad frame gives a reason, not an exception."""
    frames, hashes, reason = _load(piece.source, piece.names, size, resize)
    stacked = None if reason else np.stack([frames[name] for name in piece.names])
    return LoadedPiece(piece, hashes, stacked, reason)


def load_tracklet(source: Source, size: int, resize: str) -> LoadedTracklet:
    """Read and decode every frame that the draws need; a bad one gives a reason, not an exception."""
    frames, hashes, reason = _load(source, source.files(), size, resize)
    digest = digest_source(source, hashes)
    if reason:
        return LoadedTracklet(source, digest, None, reason)
    draws = [
        np.stack([frames[n] if d.jitter is None else apply_jitter(frames[n], d.jitter) for n in d.frames])
        for d in source.draws
    ]  # each (T, S, S, 3)
    return LoadedTracklet(source, digest, np.stack(draws))


def _load(
    source: Source, names: Sequence[str], size: int, resize: str
) -> tuple[dict[str, NDArray[np.uint8]], list[str], str]:
    """Frames by name, the hash of each file, and the reason why frames are missing."""
    frames: dict[str, NDArray[np.uint8]] = {}
    hashes: list[str] = []
    reason = ""
    for name in names:
        try:
            data = _read(source, name)
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
                frames[name] = decode_frame(data, size, resize)
            except DataError as error:
                reason = f"{name}: {error}"
            except Exception as error:  # no fault of the file's that is known: leave nothing out in silence
                raise DataError(
                    f"{source.tracklet.folder / name}: decoding it failed ({type(error).__name__}: {error}); save "
                    "the image anew, or run the same command again with --debug: finished shards are kept"
                ) from error
    return frames, hashes, reason


def hash_tracklet(source: Source) -> str:
    """The digest that load_tracklet would give, without decoding."""
    hashes = []
    for name in source.files():
        try:
            hashes.append(hash_bytes(_read(source, name)))
        except OSError as error:
            hashes.append(f"unreadable {error.errno}")
    return digest_source(source, hashes)


def _read(source: Source, name: str) -> bytes:
    """The file's bytes, cut one byte beyond the limit."""
    return read_plain(source.tracklet.folder / name, MAX_FILE_BYTES)


def map_ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[Result, None, None]:
    """Results in the order of `items`, at most `ahead` of them computed or waiting; none after closing."""
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
