"""95 % intervals of a score, and of the difference between two runs: a bootstrap over people.

Tracklets of one person resemble each other. So people are drawn with replacement, each with all their tracklets
(the cluster bootstrap; Field and Welsh, "Bootstrapping clustered data", 2007). An interval is the 2.5th to the
97.5th percentile of the scores of the resamples. It describes the choice of test people alone, not other training
seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpar_cache.errors import DataError
from vpar_cache.metrics.inputs import Groups, check_inputs
from vpar_cache.metrics.protocol import Numbers
from vpar_cache.metrics.scoring import PROTOCOLS

RESAMPLES = 1000
METHOD = "percentile bootstrap over people, 95 %"
_BATCH = 100  # resamples at a time, which bounds the memory

Scores = dict[tuple[str, str | None, str], Numbers]
"""By protocol, group (None: the average) and metric: (B,), one score for each resample."""
ScoreResamples = Callable[[Numbers], Scores]
"""How often each person was drawn (B, P) -> their scores."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of a run's test scores, fractions; empty if there was one person only."""

    method: str
    people: int
    resamples: int
    average: Mapping[str, Mapping[str, Interval]]
    """By protocol and metric."""
    groups: Mapping[str, Mapping[str, Mapping[str, Interval]]]
    """By protocol, group and metric (f1)."""

    def of(self, protocol: str, group: str | None, metric: str) -> Interval | None:
        """Return (low, high), None where there is no interval. `group` None: the average over groups."""
        if group is None:
            return self.average.get(protocol, {}).get(metric)
        return self.groups.get(protocol, {}).get(group, {}).get(metric)


def interval_block(
    probabilities: ArrayLike, labels: ArrayLike, groups: Groups, person_ids: ArrayLike, seed: int = 0
) -> dict[str, Any]:
    """Return metrics.json["intervals"], plain JSON: [low, high] of scores at each protocol's own threshold.

        {"method": ..., "people": n, "resamples": 1000,
         "vtf": {"average": {"precision": [low, high], ...}, "groups": {name: {"f1": [low, high]}}},
         "videopar": {"average": {"f1": [low, high], "accuracy": [low, high]}, "groups": ...}}

    Fractions, rounded to six decimals. With one person nothing can be resampled, so each protocol is None.
    `person_ids` are N integers. Raises DataError for arrays that do not fit.
    """
    person, people = _people(person_ids, len(np.asarray(labels)))
    bounds = _bootstrap(_scorer(probabilities, labels, groups, person, people), people, seed)
    if bounds is None:
        return _block(people, dict.fromkeys(PROTOCOLS))
    pairs = {key: np.clip(pair, 0, 1).round(6).tolist() for key, pair in bounds.items()}
    return _block(people, _nested(pairs))


def difference_block(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, groups: Groups, person_ids: ArrayLike, seed: int = 0
) -> dict[str, Any]:
    """Return the scores of `second` less those of `first`, with intervals.

    Shaped like interval_block, but each number is {"difference": d, "interval": [low, high]}; the interval is None
    with one person. Paired: both (N, A) probabilities are of the same tracklets, and a resample takes the same
    people of both.
    """
    person, people = _people(person_ids, len(np.asarray(labels)))
    one, two = (_scorer(p, labels, groups, person, people) for p in (first, second))

    def difference(weights: Numbers) -> Scores:
        before, after = one(weights), two(weights)
        return {key: after[key] - before[key] for key in after}

    bounds = _bootstrap(difference, people, seed)
    values = {
        key: {
            "difference": round(float(point[0]), 6),
            "interval": None if bounds is None else bounds[key].round(6).tolist(),
        }
        for key, point in difference(np.ones((1, people))).items()
    }
    return _block(people, _nested(values))


def _people(person_ids: ArrayLike, num_tracklets: int) -> tuple[NDArray[np.intp], int]:
    """Return the number of each tracklet's person (N,), and how many people there are."""
    ids = np.asarray(person_ids)
    if ids.shape != (num_tracklets,) or ids.dtype.kind not in "iu":
        raise DataError(
            f"person ids are {ids.dtype} of shape {ids.shape}: there must be one integer for each of the "
            f"{num_tracklets} tracklets; give those of the rows that are scored"
        )
    distinct, person = np.unique(ids, return_inverse=True)
    return person, len(distinct)


def _scorer(
    probabilities: ArrayLike, labels: ArrayLike, groups: Groups, person: NDArray[np.intp], people: int
) -> ScoreResamples:
    """Sum the terms of each of P people, and return the function that scores resamples of them."""
    p, truth = check_inputs(probabilities, labels, groups, one_class=True)
    order = np.argsort(person, kind="stable")  # (N,)
    starts = np.searchsorted(person[order], np.arange(people))  # (P,)
    sums = {
        name: {
            term: np.add.reduceat(values[order], starts, axis=0)  # (P, k)
            for term, values in protocol.terms(p, truth, groups, protocol.threshold).items()
        }
        for name, protocol in PROTOCOLS.items()
    }

    def scores(weights: Numbers) -> Scores:
        found: Scores = {}
        for name, protocol in PROTOCOLS.items():
            drawn = {term: weights @ values for term, values in sums[name].items()}  # (B, k) each
            by_group, average = protocol.scores_of_sums(drawn, groups)
            found |= {(name, None, metric): average[metric] for metric in protocol.interval_metrics}
            found |= {(name, group, "f1"): metrics["f1"] for group, metrics in by_group.items()}
        return found

    return scores


def _bootstrap(scores: ScoreResamples, people: int, seed: int) -> Scores | None:
    """Return low and high end (2,) of each score, None for one person."""
    if people < 2:
        return None
    generator = np.random.default_rng(seed)
    batches = []
    for _ in range(RESAMPLES // _BATCH):
        drawn = generator.integers(0, people, (_BATCH, people))  # (B, P)
        cells = drawn + people * np.arange(_BATCH)[:, None]
        weights = np.bincount(cells.reshape(-1), minlength=_BATCH * people).reshape(_BATCH, people)  # (B, P)
        batches.append(scores(weights.astype(np.float64)))
    resampled = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}  # (R,) each
    return {key: np.percentile(values, [2.5, 97.5]) for key, values in resampled.items()}


def _nested(values: Mapping[tuple[str, str | None, str], Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {name: {"average": {}, "groups": {}} for name in PROTOCOLS}
    for (protocol, group, metric), value in values.items():
        block = nested[protocol]
        (block["average"] if group is None else block["groups"].setdefault(group, {}))[metric] = value
    return nested


def _block(people: int, protocols: Mapping[str, Any]) -> dict[str, Any]:
    return {"method": METHOD, "people": people, "resamples": RESAMPLES, **protocols}
