"""How long it takes to score one run on the test split of MARS: both protocols, and intervals over its people.

    python benchmarks/score_mars.py

8,062 tracklets of 634 people, 43 outputs in 14 groups, random probabilities.
"""

from __future__ import annotations

import statistics

import numpy as np
from paired import REPEATS, timed, verdict

from vpar_cache.attributes.schema import MARS
from vpar_cache.metrics.intervals import interval_block
from vpar_cache.metrics.scoring import score_block

TRACKLETS, PEOPLE, MOST_SECONDS = 8_062, 634, 0.3


def main() -> None:
    rng = np.random.default_rng(0)
    groups = [(group.name, columns) for group, columns in MARS.slices()]
    values = [{group.name: int(rng.integers(group.num_values)) for group in MARS.groups} for _ in range(TRACKLETS)]
    labels = np.stack([MARS.encode(of_tracklet) for of_tracklet in values])  # (N, A)
    probabilities = rng.random(labels.shape, dtype=np.float32)
    people = rng.integers(0, PEOPLE, TRACKLETS)
    scoring = [timed(lambda: score_block(probabilities, labels, groups, 0.37)) for _ in range(REPEATS + 1)]
    intervals = [timed(lambda: interval_block(probabilities, labels, groups, people)) for _ in range(REPEATS + 1)]
    ours = [statistics.median(seconds[1:]) for seconds in (scoring, intervals)]  # the first imports
    print(f"both protocols {1000 * ours[0]:.1f} ms, 1,000 resamples {1000 * ours[1]:.1f} ms")
    verdict("scores and intervals of 8,062 x 43, seconds", sum(ours), MOST_SECONDS, at_most=True)


if __name__ == "__main__":
    main()
