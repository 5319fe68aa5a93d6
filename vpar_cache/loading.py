"""Reading and decoding tracklets on threads, ahead of the encoder and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from errno import ELOOP
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vpar_cache.errors import DataError
from vpar_cache.files import hash_bytes, read_plain
from vpar_cache.frames import apply_jitter, decode_frame
from vpar_cache.shard_plan import Source, digest_source

MAX_FILE_BYTES = 64 << 20

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


def load_tracklet(source: Source, size: int, resize: str) -> LoadedTracklet:
    """Read and decode every frame that the draws need; a bad one gives a reason, not an exception."""
    frames: dict[str, NDArray[np.uint8]] = {}
    hashes: list[str] = []
    reason = ""
    for name in source.files():
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
    digest = digest_source(source, hashes)
    if reason:
        return LoadedTracklet(source, digest, None, reason)
    draws = [
        np.stack([frames[n] if d.jitter is None else apply_jitter(frames[n], d.jitter) for n in d.frames])
        for d in source.draws
    ]  # each (T, S, S, 3)
    return LoadedTracklet(source, digest, np.stack(draws))


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
