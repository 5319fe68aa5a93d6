"""Read and decode frames ahead of an encoder: on threads, or in processes where a GPU is faster than threads."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing.connection import wait

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.cores import usable_cores
from vpar_cache.datasets.loading import LoadedPiece, Piece, map_ahead
from vpar_cache.extraction.config import ExtractConfig

MOST_THREADS = 5
"""That decode, by default: beyond these, Python's lock makes more threads slower (benchmarks/RESULTS.md)."""
ITEM_FRAMES = 48
"""A process hands over at most so many frames at once."""
ITEMS_AHEAD = 3
"""Of each process."""

Load = Callable[[Piece], LoadedPiece]
Loaded = list[tuple[list[str], list[str], str]]
"""Of each piece of an item: the hashes of its files, the names of its frames, or the reason why it has none."""


def decoding_threads(config: ExtractConfig, processes: int = 1) -> int:
    """Return how many threads decode images where so many processes share this machine."""
    return config.workers or max(1, min(usable_cores() // processes, MOST_THREADS))


def decoding_processes(config: ExtractConfig, device_type: str) -> int:
    """Return how many processes decode for each device of this type; 0 where threads do.

    Only a GPU takes more frames than threads decode, and only with more cores than threads can use. One core is
    left to the encoders.
    """
    processes = (config.workers or usable_cores() - 1) // len(config.devices)
    return processes if device_type == "cuda" and processes > MOST_THREADS else 0


def load_in_processes(
    pieces: Iterable[Piece], load: Load, image_size: int, processes: int
) -> Generator[LoadedPiece, None, None]:
    """Yield the loaded pieces in order, some of them loaded ahead. The processes end when this is closed.

    Each piece has at most ITEM_FRAMES frames. The frames come through memory that the processes share with this
    one; everything else is small and goes through the queues of the pool.
    """
    ahead = processes * ITEMS_AHEAD
    shape = (ahead, ITEM_FRAMES, image_size, image_size, 3)
    memory: NDArray[np.uint8] = np.frombuffer(mmap.mmap(-1, int(np.prod(shape))), np.uint8).reshape(shape)
    waiting: deque[list[Piece]] = deque()

    def items() -> Iterator[tuple[int, list[Piece]]]:
        for number, group in enumerate(_grouped(pieces)):
            waiting.append(group)
            yield number % ahead, group  # the item that had this place before has been taken

    # Another way to start processes would run the script of a library's user once more in each.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(processes, context, initializer=_prepare, initargs=(memory, load))
    try:
        with closing(map_ahead(pool, _load_item, items(), ahead)) as results:
            for place, loaded in results:
                count = sum(len(names) for _, names, _ in loaded)
                frames = iter(memory[place, :count].copy())  # (S, S, 3) each: the place is free for the next item
                for piece, (hashes, names, reason) in zip(waiting.popleft(), loaded, strict=True):
                    yield LoadedPiece(piece, hashes, {name: next(frames) for name in names}, reason)
    finally:
        pool.shutdown(cancel_futures=True)


def _grouped(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield the pieces in groups of at most ITEM_FRAMES frames."""
    group: list[Piece] = []
    frames = 0
    for piece in pieces:
        if group and frames + len(piece.names) > ITEM_FRAMES:
            yield group
            group, frames = [], 0
        group.append(piece)
        frames += len(piece.names)
    if group:
        yield group


_shared: tuple[NDArray[np.uint8], Load]
"""In a decoding process: (places, ITEM_FRAMES, S, S, 3), the memory for frames, and what loads a piece."""


def _prepare(memory: NDArray[np.uint8], load: Load) -> None:
    """Begin a decoding process. Ctrl-C reaches every process of a terminal; the parent decides what to do then."""
    global _shared
    _shared = memory, load
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the parent has ended, also by a kill: nobody would read what is decoded."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _load_item(item: tuple[int, list[Piece]]) -> tuple[int, Loaded]:
    """Load pieces, put their frames one after another into a place of the shared memory, return the rest."""
    place, group = item
    memory, load = _shared
    found: Loaded = []
    start = 0
    for piece in group:
        loaded = load(piece)
        for number, frame in enumerate(loaded.frames.values(), start):
            memory[place, number] = frame  # (S, S, 3)
        start += len(loaded.frames)
        found.append((loaded.hashes, list(loaded.frames), loaded.reason))
    return place, found
