"""Two sides in turn, the median of their ratios, and the verdict of each figure as a line of JSON at the end."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

REPEATS = 7


def option_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the first line of a script's docstring and the option --folder."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="Where to make the files. Default: a temporary folder.")
    return parser


@contextmanager
def scratch_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Make a new folder, in --folder if it is given; remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="vpar-benchmark-", dir=options.folder) as folder:
        yield Path(folder)


def timed(action: Callable[[], object]) -> float:
    """Return wall seconds."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def median_time(action: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median wall seconds of several calls, after one that is not counted."""
    action()
    return statistics.median(timed(action) for _ in range(repeats))


def alternate(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    repeats: int = REPEATS,
    prepare: Callable[[], object] = lambda: None,
) -> list[tuple[float, float]]:
    """Return seconds of (ours, theirs), pair by pair: a machine that slows down slows both sides.

    Each side runs once before, uncounted. `prepare` runs before each side and is not timed.
    """
    ours(), theirs()
    pairs = []
    for number in range(repeats):
        seconds = [0.0, 0.0]
        for side in (0, 1) if number % 2 == 0 else (1, 0):  # neither side is always the second
            prepare()
            seconds[side] = timed((ours, theirs)[side])
        pairs.append((seconds[0], seconds[1]))
    return pairs


def compare_rates(
    ours: Callable[[], float], theirs: Callable[[], float], *, repeats: int, unit: str, warm_up: bool = True
) -> float:
    """Return the median of theirs / ours over pairs; each side measures itself: seconds per `unit`."""
    if warm_up:
        theirs(), ours()
    ratios = []
    for number in range(repeats):
        if number % 2:  # neither side is always the second
            a = ours()
            b = theirs()
        else:
            b = theirs()
            a = ours()
        ratios.append(b / a)
        print(f"theirs {1 / b:.3f} {unit}/s, ours {1 / a:.3f}: {b / a:.3f} times", flush=True)
    return statistics.median(ratios)


def median_ratio(pairs: Sequence[tuple[float, float]], *, ours_work: float = 1, theirs_work: float = 1) -> float:
    """Return how many times as fast ours is: the median over pairs of theirs / ours, each per unit of work."""
    return statistics.median((theirs / theirs_work) / (ours / ours_work) for ours, theirs in pairs)


def median_seconds(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the median of each side."""
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def verdict(figure: str, ratio: float, target: float, *, at_most: bool = False) -> None:
    """Print the last line of a benchmark, or of several figures one of the last."""
    met = ratio <= target if at_most else ratio >= target
    print(json.dumps({"figure": figure, "ratio": round(ratio, 4), "target": target, "met": met}), flush=True)
