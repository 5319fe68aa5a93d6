"""The protocols that there are, and predictions scored by all of them.

Their F1 are different quantities: no two protocols may share a column of a table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vpar_cache.metrics.inputs import Groups
from vpar_cache.metrics.instance import INSTANCE
from vpar_cache.metrics.pooled import POOLED
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.videopar import VIDEOPAR
from vpar_cache.metrics.vtf import VTF

PROTOCOLS = {protocol.name: protocol for protocol in (VTF, VIDEOPAR, POOLED, INSTANCE)}

FIRST = {"tracklet": "vtf", "image": "instance"}
"""What papers read first, by what a row is: papers on single images print `instance` and mA."""

THRESHOLDS = {name: protocol.threshold for name, protocol in PROTOCOLS.items()}

THRESHOLD_GRID = tuple(step / 20 for step in range(1, 20))
"""0.05, 0.10, ..., 0.95: what a threshold is selected from, and what the details of a run show."""

SELECTED = "vtf_selected"
"""The name of `vtf` at a threshold that was chosen on validation people."""


def protocols_of(unit: str) -> tuple[str, ...]:
    """Return the names of all protocols in the order of a report on such rows, tracklet or image."""
    first = FIRST[unit]
    return first, *(name for name in PROTOCOLS if name != first)


def is_mean_accuracy_first(protocol: str, unit: str) -> bool:
    """Return whether mA is the first column of this protocol's tables on such rows."""
    return unit == "image" and protocol == FIRST[unit]


def score_all(
    probabilities: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    selected_threshold: float | None = None,
    *,
    known: ArrayLike | None = None,
) -> dict[str, ProtocolScores]:
    """Return the scores of every protocol at its own threshold, and vtf_selected if a threshold was selected.

    Raises as Protocol.score.
    """
    scores = {
        name: protocol.score(probabilities, labels, groups, known=known) for name, protocol in PROTOCOLS.items()
    }
    if selected_threshold is not None:
        scores[SELECTED] = VTF.score(probabilities, labels, groups, selected_threshold, known=known)
    return scores


def best_threshold(
    probabilities: ArrayLike, labels: ArrayLike, groups: Groups, *, known: ArrayLike | None = None
) -> float:
    """Return the threshold of the grid with the highest average vtf F1; of equals, the lowest.

    Use validation people only. Raises as Protocol.score.
    """
    f1 = [
        VTF.score(probabilities, labels, groups, threshold, known=known).average["f1"]
        for threshold in THRESHOLD_GRID
    ]
    return THRESHOLD_GRID[int(np.argmax(f1))]
