"""95 % intervals of a score, and of the difference between two runs: a bootstrap over people.

Tracklets of one person resemble each other. So people are drawn with replacement, each with all their tracklets
(the cluster bootstrap; Field and Welsh, "Bootstrapping clustered data", 2007). Where people are not known,
tracklets, or images, are drawn. An interval is the 2.5th to the 97.5th percentile of the scores of the resamples.
It describes the choice of test people alone, not other training seeds.
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
_BATCH = 100  # resamples at a time, which bounds the memory

Scores = dict[tuple[str, str | None, str], Numbers]
"""By protocol, group (None: the average) and metric: (B,), one score for each resample."""
ScoreResamples = Callable[[Numbers], Scores]
"""How often each person was drawn (B, P) -> their scores."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class ProtocolIntervals:
    """95 % intervals of the scores of one protocol, fractions."""

    average: Mapping[str, Interval]
    groups: Mapping[str, Mapping[str, Interval]]
    """By group and metric (f1)."""


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of test scores."""

    over: str
    """people, tracklets or images: what was resampled."""
    number: int
    """How many of them there are. With one there are no intervals."""
    resamples: int
    protocols: Mapping[str, ProtocolIntervals]

    def of(self, protocol: str, group: str | None, metric: str) -> Interval | None:
        """Return (low, high), None where there is no interval. `group` None: the average over groups."""
        found = self.protocols.get(protocol)
        if found is None:
            return None
        return (found.average if group is None else found.groups.get(group, {})).get(metric)

    @property
    def method(self) -> str:
        """How they were made, in words."""
        return f"percentile bootstrap over {self.over}, 95 %"


def intervals(
    probabilities: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    people: ArrayLike | None,
    *,
    known: ArrayLike | None = None,
    unit: str = "tracklet",
    seed: int = 0,
) -> Intervals:
    """Return intervals of the scores of probabilities (N, A) at each protocol's own threshold.

    `people`: N integers, the person of each tracklet; None where they are not known. `unit`: what a row is. Ends
    are rounded to six decimals. Raises DataError for arrays that do not fit.
    """
    person, number = person_numbers(people, len(np.asarray(labels)))
    bounds = _bootstrap(_scorer(probabilities, labels, groups, person, number, known), number, seed) or {}
    ends = {key: _rounded_ends(pair) for key, pair in bounds.items()}
    found = {name: ProtocolIntervals(**tree) for name, tree in _nested(ends).items()}
    return Intervals(over_what(people, unit), number, RESAMPLES, found if ends else {})


def difference_block(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    people: ArrayLike | None,
    *,
    known: ArrayLike | None = None,
    unit: str = "tracklet",
    seed: int = 0,
) -> dict[str, Any]:
    """Return the scores of `second` less those of `first`, with intervals.

        {"over": "people", "number": n, "resamples": 1000,
         "vtf": {"average": {"f1": {"difference": d, "interval": [low, high]}}, "groups": {name: {...}}}, ...}

    The interval is None with one person. Paired: both (N, A) probabilities are of the same tracklets, and a
    resample takes the same people of both.
    """
    person, number = person_numbers(people, len(np.asarray(labels)))
    one, two = (_scorer(p, labels, groups, person, number, known) for p in (first, second))

    def difference(weights: Numbers) -> Scores:
        before, after = one(weights), two(weights)
        return {key: after[key] - before[key] for key in after}

    bounds = _bootstrap(difference, number, seed)
    values = {
        key: {
            "difference": round(float(point[0]), 6),
            "interval": None if bounds is None else bounds[key].round(6).tolist(),
        }
        for key, point in difference(np.ones((1, number))).items()
        if np.isfinite(point[0])
    }
    return {"over": over_what(people, unit), "number": number, "resamples": RESAMPLES, **_nested(values)}


def over_what(people: ArrayLike | None, unit: str) -> str:
    """Return what can be resampled or shuffled: people, or tracklets (images) where people are not known."""
    return f"{unit}s" if people is None else "people"


def person_numbers(people: ArrayLike | None, num_tracklets: int) -> tuple[NDArray[np.intp], int]:
    """Return the number of each tracklet's person (N,), and how many people there are.

    Where people are not known each tracklet counts as a person.
    """
    if people is None:
        return np.arange(num_tracklets), num_tracklets
    ids = np.asarray(people)
    if ids.shape != (num_tracklets,) or ids.dtype.kind not in "iu":
        raise DataError(
            f"person ids are {ids.dtype} of shape {ids.shape}: there must be one integer for each of the "
            f"{num_tracklets} tracklets; give those of the rows that are scored"
        )
    distinct, person = np.unique(ids, return_inverse=True)
    return person, len(distinct)


def _scorer(
    probabilities: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    person: NDArray[np.intp],
    number: int,
    known: ArrayLike | None,
) -> ScoreResamples:
    """Sum the terms of each of P people, and return the function that scores resamples of them."""
    p, truth, is_known = check_inputs(probabilities, labels, groups, one_class=True, known=known)
    order = np.argsort(person, kind="stable")  # (N,)
    starts = np.searchsorted(person[order], np.arange(number))  # (P,)
    sums = {
        name: {
            term: np.add.reduceat(values[order], starts, axis=0, dtype=np.float64)  # (P, k)
            for term, values in protocol.terms(
                protocol.answers(p, groups, protocol.threshold), truth, is_known, groups
            ).items()
        }
        for name, protocol in PROTOCOLS.items()
    }

    def scores(weights: Numbers) -> Scores:
        found: Scores = {}
        for name, protocol in PROTOCOLS.items():
            drawn = {term: weights @ values for term, values in sums[name].items()}  # (B, k) each
            by_unit, average = protocol.metrics_of_sums(drawn, groups)
            found |= {(name, None, metric): average[metric] for metric in protocol.interval_metrics}
            if not protocol.joint:
                found |= {(name, group, "f1"): metrics["f1"] for group, metrics in by_unit.items()}
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
    finite = {key: values[np.isfinite(values)] for key, values in resampled.items()}  # NaN: no known label drawn
    return {key: np.percentile(values, [2.5, 97.5]) for key, values in finite.items() if len(values)}


def _rounded_ends(pair: Numbers) -> Interval:
    low, high = pair.clip(0, 1).round(6).tolist()
    return low, high


def _nested(values: Mapping[tuple[str, str | None, str], Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {name: {"average": {}, "groups": {}} for name in PROTOCOLS}
    for (protocol, group, metric), value in values.items():
        block = nested[protocol]
        (block["average"] if group is None else block["groups"].setdefault(group, {}))[metric] = value
    return nested
