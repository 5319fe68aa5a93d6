"""How long it takes to score one run on the test split of MARS: every protocol, and intervals over its people.

Printed beside it is everything that `vpar train` writes to metrics.json: also the baselines of every part of the
tracklets, with 200 shuffles, and the details.

    python benchmarks/score_mars.py

8,062 tracklets of 634 people, 43 outputs in 14 groups, random probabilities.
"""

from __future__ import annotations

import numpy as np
from support.timing import median_time, verdict

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.metrics.evaluation import baselines, evaluate
from vpar_cache.metrics.intervals import intervals
from vpar_cache.metrics.parts import parts_of
from vpar_cache.metrics.scoring import score_all

TRACKLETS, PEOPLE, MOST_SECONDS = 8_062, 634, 0.3


def main() -> None:
    rng = np.random.default_rng(0)
    groups = MARS.named_slices()
    values = [{group.name: int(rng.integers(group.num_values)) for group in MARS.groups} for _ in range(TRACKLETS)]
    labels = np.stack([MARS.encode(of_tracklet) for of_tracklet in values])  # (N, A)
    probabilities = rng.random(labels.shape, dtype=np.float32)  # (N, A)
    people = rng.integers(0, PEOPLE, TRACKLETS)  # (N,)
    flags = rng.random((TRACKLETS, len(MARS.quality))) < 0.1  # (N, Q)
    parts = parts_of(MARS.quality, flags, rng.integers(1, 7, TRACKLETS), rng.integers(2, 920, TRACKLETS))

    def everything() -> None:
        train = baselines(labels, groups)
        evaluate(probabilities, labels, groups, people=people, train=train, selected_threshold=0.37, parts=parts)

    scoring = median_time(lambda: score_all(probabilities, labels, groups, 0.37))
    resampling = median_time(lambda: intervals(probabilities, labels, groups, people))
    whole = median_time(everything)
    print(f"scores {1000 * scoring:.1f} ms, 1,000 resamples {1000 * resampling:.1f} ms, everything {whole:.1f} s")
    verdict("scores and intervals of 8,062 x 43, seconds", scoring + resampling, MOST_SECONDS, at_most=True)


if __name__ == "__main__":
    main()
