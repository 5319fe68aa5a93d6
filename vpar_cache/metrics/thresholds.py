"""One threshold for each output, chosen on validation people.

An output that few people have seldom gets a probability above one common threshold: at 0.45 a model hardly ever
says "hat". The protocols keep their own thresholds; these are for predictions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vpar_cache.metrics.scoring import THRESHOLD_GRID


def output_thresholds(
    probabilities: NDArray[np.float32], labels: NDArray[np.uint8], known: NDArray[np.bool_], fallback: float
) -> NDArray[np.float64]:
    """Return for each output the threshold of the grid with the highest F1 of its positive class, (A,).

    From probabilities, labels of 0 and 1, and which labels are known, each (N, A). Of equal thresholds the one
    nearest to `fallback`, the lower of two. An output whose known labels are all 0 or all 1 gets `fallback`.
    """
    positive, negative = (labels > 0) & known, (labels == 0) & known  # (N, A), (N, A)
    counts = positive.sum(axis=0)  # (A,)
    nearest_first = sorted(THRESHOLD_GRID, key=lambda threshold: (round(abs(threshold - fallback), 9), threshold))
    grid = np.array(nearest_first)  # (T,)
    f1 = np.empty((len(grid), probabilities.shape[1]))  # (T, A)
    for number, threshold in enumerate(grid):
        above = probabilities > probabilities.dtype.type(threshold)  # (N, A)
        hits, false = (above & positive).sum(axis=0), (above & negative).sum(axis=0)  # (A,), (A,)
        f1[number] = 2 * hits / np.maximum(hits + false + counts, 1)
    found = grid[f1.argmax(axis=0)]  # (A,): the first of equals, so the nearest
    both = (counts > 0) & (negative.sum(axis=0) > 0)  # (A,)
    return np.where(both, found, fallback)  # (A,)
