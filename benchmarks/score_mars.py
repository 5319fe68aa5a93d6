"""How long it takes to score one run on the test split of MARS: every protocol, and intervals over its people.

    python benchmarks/score_mars.py

8,062 tracklets of 634 people, 43 outputs in 14 groups, random probabilities.
"""

from __future__ import annotations

import numpy as np
from support.timing import median_time, verdict

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.metrics.intervals import interval_block
from vpar_cache.metrics.scoring import score_block

TRACKLETS, PEOPLE, MOST_SECONDS = 8_062, 634, 0.3


def main() -> None:
    rng = np.random.default_rng(0)
    groups = MARS.named_slices()
    values = [{group.name: int(rng.integers(group.num_values)) for group in MARS.groups} for _ in range(TRACKLETS)]
    labels = np.stack([MARS.encode(of_tracklet) for of_tracklet in values])  # (N, A)
    probabilities = rng.random(labels.shape, dtype=np.float32)  # (N, A)
    people = rng.integers(0, PEOPLE, TRACKLETS)  # (N,)
    scoring = median_time(lambda: score_block(probabilities, labels, groups, 0.37))
    intervals = median_time(lambda: interval_block(probabilities, labels, groups, people))
    print(f"scores {1000 * scoring:.1f} ms, 1,000 resamples {1000 * intervals:.1f} ms")
    verdict("scores and intervals of 8,062 x 43, seconds", scoring + intervals, MOST_SECONDS, at_most=True)


if __name__ == "__main__":
    main()
