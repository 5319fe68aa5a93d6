"""Read and decode frames ahead of the encoders: on threads, or in processes where a GPU is faster than threads."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing.connection import wait

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.cores import usable_cores
from vpar_cache.datasets.loading import LoadedPiece, Piece, load_piece, map_ahead
from vpar_cache.extraction.config import ExtractConfig

MOST_THREADS = 5
"""That decode, by default: beyond these, Python's lock makes more threads slower (benchmarks/RESULTS.md)."""
ITEM_FRAMES = 48
"""A process hands over at most so many frames at once."""
ITEMS_AHEAD = 3
"""Of each process."""

Load = Callable[[Piece], LoadedPiece]
Read = Callable[[Iterable[Piece], int], Generator[LoadedPiece, None, None]]
"""Yields the loaded pieces in order. The number is that of pieces loaded ahead, where threads load them."""
_Rest = list[tuple[list[str], list[str], str]]
"""Of each piece of an item: the hashes of its files, the names of its frames, or the reason why it has none."""


def decoding_threads(config: ExtractConfig, processes: int = 1) -> int:
    """Return how many threads decode images where so many processes share this machine."""
    return config.workers or max(1, min(usable_cores() // processes, MOST_THREADS))


def decoding_processes(config: ExtractConfig, device_type: str) -> int:
    """Return how many processes decode for devices of this type; 0 where threads do.

    Only a GPU takes more frames than threads decode, and only with more cores than threads can use. One core is
    left to the encoders.
    """
    processes = config.workers or usable_cores() - 1
    return processes if device_type == "cuda" and processes > MOST_THREADS else 0


def on_threads(pool: Executor, config: ExtractConfig, image_size: int) -> Read:
    """Return what reads pieces on the threads of a pool."""
    load = partial(load_piece, size=image_size, resize=config.resize)
    return lambda pieces, ahead: map_ahead(pool, load, pieces, ahead)


@contextmanager
def in_processes(number: int, readers: int, load: Load, image_size: int) -> Iterator[list[Read]]:
    """Start processes that decode, and yield what reads pieces: one function for each thread that reads.

    Each piece has at most ITEM_FRAMES frames. Frames come through memory that the processes share with this one,
    everything else, which is small, through the queues of the pool. The processes end with the block, and with
    this process.
    """
    ahead = max(1, number * ITEMS_AHEAD // readers)
    shape = (readers, ahead, ITEM_FRAMES, image_size, image_size, 3)
    memory: NDArray[np.uint8] = np.frombuffer(mmap.mmap(-1, int(np.prod(shape))), np.uint8).reshape(shape)
    # Another way to start processes would run the script of a library's user once more in each.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(number, context, initializer=_prepare, initargs=(memory, load))
    try:
        pool.submit(os.getpid).result()  # starts them all here, before there are threads that read
        yield [partial(_read, pool, memory[reader], reader) for reader in range(readers)]
    finally:
        pool.shutdown(cancel_futures=True)


def _read(
    pool: Executor, memory: NDArray[np.uint8], reader: int, pieces: Iterable[Piece], _: int
) -> Generator[LoadedPiece, None, None]:
    """Yield the loaded pieces in order. `memory`: the places of this reader, (places, ITEM_FRAMES, S, S, 3)."""
    places = len(memory)
    waiting: deque[list[Piece]] = deque()

    def items() -> Iterator[tuple[int, int, list[Piece]]]:
        for number, group in enumerate(_grouped(pieces)):
            waiting.append(group)
            yield reader, number % places, group  # the item that had this place before has been taken

    with closing(map_ahead(pool, _load_item, items(), places)) as results:
        for place, rest in results:
            count = sum(len(names) for _, names, _ in rest)
            frames = iter(memory[place, :count].copy())  # (S, S, 3) each: the place is free then
            for piece, (hashes, names, reason) in zip(waiting.popleft(), rest, strict=True):
                yield LoadedPiece(piece, hashes, {name: next(frames) for name in names}, reason)


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
"""In a decoding process: memory for frames, (readers, places, ITEM_FRAMES, S, S, 3), and what loads a piece."""


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


def _load_item(item: tuple[int, int, list[Piece]]) -> tuple[int, _Rest]:
    """Load pieces, put their frames one after another into a place of the shared memory, return the rest."""
    reader, place, group = item
    memory, load = _shared
    rest: _Rest = []
    start = 0
    for piece in group:
        loaded = load(piece)
        for number, frame in enumerate(loaded.frames.values(), start):
            memory[reader, place, number] = frame  # (S, S, 3)
        start += len(loaded.frames)
        rest.append((loaded.hashes, list(loaded.frames), loaded.reason))
    return place, rest
