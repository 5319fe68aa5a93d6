"""What the benchmarks share: two sides in turn, the median of their ratios, the verdict as a last line of JSON."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence

REPEATS = 7


def timed(action: Callable[[], object]) -> float:
    """Wall seconds."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def alternate(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    repeats: int = REPEATS,
    warm_up: bool = True,
    prepare: Callable[[], object] = lambda: None,
) -> list[tuple[float, float]]:
    """Seconds of (ours, theirs), pair by pair: a machine that slows down slows both sides.

    `prepare` runs before each side and is not timed.
    """
    if warm_up:
        ours(), theirs()
    pairs = []
    for number in range(repeats):
        seconds = [0.0, 0.0]
        for side in (0, 1) if number % 2 == 0 else (1, 0):  # neither side is always the one that comes after
            prepare()
            seconds[side] = timed((ours, theirs)[side])
        pairs.append((seconds[0], seconds[1]))
    return pairs


def median_ratio(pairs: Sequence[tuple[float, float]], *, ours_work: float = 1, theirs_work: float = 1) -> float:
    """How many times as fast ours is: the median over pairs of theirs / ours, each per unit of work."""
    return statistics.median((theirs / theirs_work) / (ours / ours_work) for ours, theirs in pairs)


def median_seconds(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Of each side."""
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def verdict(figure: str, ratio: float, target: float, *, at_most: bool = False) -> None:
    """The last line of every benchmark."""
    met = ratio <= target if at_most else ratio >= target
    print(json.dumps({"figure": figure, "ratio": round(ratio, 4), "target": target, "met": met}), flush=True)
