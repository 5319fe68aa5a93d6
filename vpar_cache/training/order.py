"""The order of an epoch's rows: over all shards, or a few at a time where the cache is larger than memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHUFFLES = ("exact", "shards")
WINDOW_SHARDS = 4
"""shards: so many shards are read one after the other, and their rows are shuffled together."""


def epoch_windows(
    rows: NDArray[np.int64], shard_rows: Sequence[int], shuffle: str, random: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Return each of the rows (n,) once, in a new order, as windows of rows that are read together, each (w,).

    exact: one window, in which each order is as likely. shards: the shards of `shard_rows` rows each come in a
    random order, WINDOW_SHARDS of them make a window, and its rows are shuffled.
    """
    if shuffle == "exact":
        return [random.permutation(rows)]
    shards = np.searchsorted(np.cumsum(shard_rows), rows, side="right")  # (n,) the shard of each row
    present = random.permutation(np.unique(shards))  # (S,)
    return [
        random.permutation(rows[np.isin(shards, present[start : start + WINDOW_SHARDS])])
        for start in range(0, len(present), WINDOW_SHARDS)
    ]
