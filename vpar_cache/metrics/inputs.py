"""The arrays that all scores are computed from, and the check that they fit together.

Everywhere in this package N is the number of tracklets, A of outputs and G of groups.

`known` (N, A) says which labels are known; None: all. What is unknown has no part in any number: its label and its
probability are never looked at. A group of several outputs is known or unknown as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpar_cache.errors import DataError, UserError

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

Groups = Sequence[tuple[str, slice]]
"""Group names with their columns, in order and without gaps, as Schema.named_slices returns them."""


def check_inputs(
    probabilities: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    one_class: bool = False,
    names: Sequence[str] | None = None,
    known: ArrayLike | None = None,
) -> tuple[Floats, Bools, Bools]:
    """Return probabilities as floats, labels and known as booleans, (N, A) each; an unknown label is False.

    `one_class` requires exactly one 1 in every known group of several outputs. `names` are the N tracklet ids, for
    the message. Raises DataError that names the first invalid value.
    """
    p, y = np.asarray(probabilities), np.asarray(labels)
    if p.ndim != 2 or p.shape != y.shape:
        raise DataError(
            f"probabilities have shape {p.shape} and labels {y.shape}: both must be (tracklets, outputs); "
            f"give one row per tracklet and one column per output"
        )
    if p.dtype.kind not in "fiub" or y.dtype.kind not in "fiub":
        raise DataError(f"probabilities are {p.dtype} and labels {y.dtype}: both must be numbers; convert them")
    if len(p) == 0:
        raise DataError("0 tracklets: scores need at least one; check the split")
    if p.shape[1] != groups[-1][1].stop:
        raise DataError(
            f"the arrays have {p.shape[1]} outputs, but the groups take {groups[-1][1].stop}; "
            f"give the schema that the predictions were made with"
        )
    if p.dtype.kind != "f":
        p = p.astype(np.float64)

    def where(row: int, column: int) -> str:
        group = next(name for name, columns in groups if column < columns.stop)
        tracklet = f"row {row}" if names is None else f"tracklet {names[row]!r}"
        return f"{tracklet}, output {column} ({group})"

    fits = (p >= 0) & (p <= 1)  # (N, A); False for NaN
    if not fits.all():
        row, column = np.argwhere(~fits)[0]
        raise DataError(
            f"{where(row, column)}: probability {p[row, column]} must lie in 0 to 1; apply a sigmoid to logits, "
            f"and fix NaN where they arise"
        )
    is_known = np.ones(p.shape, bool) if known is None else np.asarray(known)  # (N, A)
    if is_known.shape != p.shape or is_known.dtype != bool:
        raise DataError(f"known: got {is_known.dtype} of shape {is_known.shape}; expected bool of shape {p.shape}")
    truth: Bools = y == 1
    fits = truth | (y == 0) | ~is_known  # (N, A)
    if not fits.all():
        row, column = np.argwhere(~fits)[0]
        raise DataError(f"{where(row, column)}: label {y[row, column]} must be 0 or 1; binarise the labels")
    truth &= is_known
    for _, columns in groups:
        partly = is_known[:, columns].any(axis=1) & ~is_known[:, columns].all(axis=1)  # (N,)
        if partly.any():
            raise DataError(
                f"{where(int(partly.argmax()), columns.start)}: some labels of the group are known, others are "
                f"not; give all of them or none"
            )
        count = truth[:, columns].sum(axis=1)  # (N,)
        wrong = np.flatnonzero((count != 1) & is_known[:, columns.start])
        if one_class and columns.stop - columns.start > 1 and len(wrong):
            raise DataError(
                f"{where(int(wrong[0]), columns.start)}: {count[wrong[0]]} labels of the group are 1, but a "
                f"tracklet has exactly one class of it; fix the labels"
            )
    if not is_known.any():
        raise DataError(f"none of the labels of {len(p)} tracklets is known: there is nothing to score")
    return p, truth, is_known


def check_threshold(threshold: float) -> None:
    """Raise UserError for a threshold outside 0 to 1."""
    if not (math.isfinite(threshold) and 0 <= threshold <= 1):
        raise UserError(f"threshold {threshold} must lie in 0 to 1; the paper's is 0.45")
