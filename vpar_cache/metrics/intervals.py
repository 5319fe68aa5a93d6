"""95 % intervals of a score, and of the difference between two runs: a bootstrap over people.

Tracklets of one person resemble each other, so that people are drawn with replacement and all their tracklets
go with them (the cluster bootstrap; Field and Welsh, "Bootstrapping clustered data", 2007). An interval is the
2.5th to the 97.5th percentile of the scores of the resamples. It speaks of the choice of test people alone:
another training seed is not in it.

A score of either protocol is a function of sums over tracklets. The sums of each person are taken once, so
that a resample is a row of a matrix product and not N tracklets scored again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpar_cache.errors import DataError
from vpar_cache.metrics.protocols import (
    VIDEOPAR_THRESHOLD,
    VTF_THRESHOLD,
    Bools,
    Floats,
    Groups,
    check_inputs,
    classes,
    group_counts,
    ratio,
)

RESAMPLES = 1000
METHOD = "percentile bootstrap over people, 95 %"

_MAX_DRAWS = 10_000_000
"""People x resamples in one batch, for the memory."""

Scores = NDArray[np.float64]
Measures = tuple[tuple[str, str | None, str], ...]
"""Protocol, group (None: the average) and metric of each number that has an interval."""


def measures(groups: Groups) -> Measures:
    """vtf: average precision, recall and F1; videopar: average F1 and accuracy; F1 of each group under both."""
    names = [name for name, _ in groups]
    return (
        *(("vtf", None, metric) for metric in ("precision", "recall", "f1")),
        *(("vtf", name, "f1") for name in names),
        *(("videopar", None, metric) for metric in ("f1", "accuracy")),
        *(("videopar", name, "f1") for name in names),
    )


def interval_block(
    probabilities: ArrayLike, labels: ArrayLike, groups: Groups, person_ids: ArrayLike, seed: int = 0
) -> dict[str, Any]:
    """metrics.json["intervals"], plain JSON: [low, high] of each measure, fractions, rounded to six decimals.

        {"method": ..., "people": n, "resamples": 1000,
         "vtf": {"average": {"precision": [lo, hi], ...}, "groups": {name: {"f1": [lo, hi]}}},
         "videopar": {"average": {"f1": [lo, hi], "accuracy": [lo, hi]}, "groups": ...}}

    vtf at 0.45, videopar at 0.5. With one person nothing can be resampled: vtf and videopar are then None.
    `person_ids` are N whole numbers. Raises DataError for arrays that do not fit.
    """
    p, truth = check_inputs(probabilities, labels, groups, one_class=True)
    person, people = _people(person_ids, len(p))
    sums = _PersonSums.of(p, truth, groups, person, people)
    bounds = _bootstrap(sums.scores, people, seed)
    block: dict[str, Any] = {"method": METHOD, "people": people, "resamples": RESAMPLES}
    if bounds is None:
        return {**block, "vtf": None, "videopar": None}
    pairs = np.clip(bounds, 0, 1).round(6).tolist()
    return {**block, **_nested(measures(groups), pairs)}


def difference_block(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, groups: Groups, person_ids: ArrayLike, seed: int = 0
) -> dict[str, Any]:
    """The scores of `second` less those of `first`, with intervals: the shape of interval_block, but each
    number is {"difference": d, "interval": [lo, hi]}; the interval is None with one person.

    Paired: both (N, A) probabilities are of the same tracklets, and a resample takes the same people of both,
    so that what is hard for either run is in neither side of the difference.
    """
    (a, truth), (b, _) = (check_inputs(p, labels, groups, one_class=True) for p in (first, second))
    person, people = _people(person_ids, len(a))
    one, two = (_PersonSums.of(p, truth, groups, person, people) for p in (a, b))

    def difference(weights: Floats) -> Scores:
        return two.scores(weights) - one.scores(weights)

    points = difference(np.ones((1, people)))[:, 0].round(6).tolist()  # (measures,)
    bounds = _bootstrap(difference, people, seed)
    pairs = [None] * len(points) if bounds is None else bounds.round(6).tolist()
    values = [{"difference": d, "interval": pair} for d, pair in zip(points, pairs, strict=True)]
    return {"method": METHOD, "people": people, "resamples": RESAMPLES, **_nested(measures(groups), values)}


def _nested(keys: Measures, values: list[Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for (protocol, group, metric), value in zip(keys, values, strict=True):
        block = nested.setdefault(protocol, {"average": {}, "groups": {}})
        (block["average"] if group is None else block["groups"].setdefault(group, {}))[metric] = value
    return nested


def _people(person_ids: ArrayLike, num_tracklets: int) -> tuple[NDArray[np.intp], int]:
    """Person ids of any value -> the number of each tracklet's person (N,), and how many people there are."""
    ids = np.asarray(person_ids)
    if ids.shape != (num_tracklets,) or ids.dtype.kind not in "iu":
        raise DataError(
            f"person ids are {ids.dtype} of shape {ids.shape}: there must be one whole number for each of the "
            f"{num_tracklets} tracklets; give those of the rows that are scored"
        )
    distinct, person = np.unique(ids, return_inverse=True)
    return person, len(distinct)


def _bootstrap(scores: Callable[[Floats], Scores], people: int, seed: int) -> Scores | None:
    """Low and high end of each score (measures, 2), None for one person; `scores` takes how often each person
    was drawn (B, people)."""
    if people < 2:
        return None
    from scipy.stats import bootstrap  # takes a second to import, and only training and comparing need it

    def statistic(drawn: NDArray[np.intp], axis: int = -1) -> Scores:
        batch = len(drawn)  # drawn: (B, people)
        cells = drawn + people * np.arange(batch)[:, None]
        weights = np.bincount(cells.reshape(-1), minlength=batch * people)
        return scores(weights.reshape(batch, people).astype(np.float64))  # (measures, B)

    interval = bootstrap(
        (np.arange(people),),
        statistic,
        n_resamples=RESAMPLES,
        batch=max(1, _MAX_DRAWS // people),
        vectorized=True,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return np.stack([interval.low, interval.high], axis=1)


@dataclass(frozen=True)
class _PersonSums:
    """What the scores of both protocols need of each of P people."""

    tracklets: Floats  # (P,)
    vtf: Floats  # (P, G, 3)
    videopar: Floats  # (P, C, 3), C classes of all groups
    is_single: Bools  # (G,): groups of one output
    first_class: NDArray[np.intp]  # (G,): where each group starts among the C
    num_classes: NDArray[np.intp]  # (G,)

    @classmethod
    def of(cls, p: Floats, truth: Bools, groups: Groups, person: NDArray[np.intp], people: int) -> _PersonSums:
        """`p`, `truth`: (N, A); `person`: (N,), the number of each tracklet's person."""
        order = np.argsort(person, kind="stable")
        starts = np.searchsorted(person[order], np.arange(people))

        def sums(terms: NDArray[Any]) -> Floats:  # (N, ...) -> (P, ...)
            return np.add.reduceat(terms[order], starts, axis=0, dtype=np.float64)

        sizes = np.array([columns.stop - columns.start for _, columns in groups])
        num_classes = np.maximum(sizes, 2)
        return cls(
            tracklets=sums(np.ones(len(p))),
            vtf=sums(_vtf_terms(p, truth, groups)),
            videopar=sums(_videopar_terms(p, truth, groups)),
            is_single=sizes == 1,
            first_class=np.cumsum(num_classes) - num_classes,
            num_classes=num_classes,
        )

    def scores(self, weights: Floats) -> Scores:
        """How often each person counts (B, P) -> each of `measures` (measures, B)."""
        n = (weights @ self.tracklets)[:, None]  # (B, 1)
        vtf = np.tensordot(weights, self.vtf, axes=1)  # (B, G, 3)
        hits, predicted, actual = np.moveaxis(vtf, -1, 0)  # (B, G) each, of groups of one output
        triple = (ratio(hits, predicted), ratio(hits, actual), ratio(2 * hits, predicted + actual))
        of_group = np.where(self.is_single[:, None], np.stack(triple, axis=-1), vtf / n[..., None])  # (B, G, 3)
        hits, predicted, actual = np.moveaxis(np.tensordot(weights, self.videopar, axes=1), -1, 0)  # (B, C) each
        f1 = np.add.reduceat(ratio(2 * hits, predicted + actual), self.first_class, axis=1) / self.num_classes
        accuracy = np.add.reduceat(hits, self.first_class, axis=1) / n  # (B, G)
        videopar = np.stack([f1, accuracy], axis=-1)  # (B, G, 2)
        parts = (of_group.mean(axis=1), of_group[:, :, 2], videopar.mean(axis=1), f1)
        return np.concatenate(parts, axis=1).T


def _vtf_terms(p: Floats, truth: Bools, groups: Groups) -> Floats:
    """(N, G, 3). One output: hit, predicted, actual, as 0 or 1. Several: precision, recall, F1 of the tracklet."""
    predictions = p > p.dtype.type(VTF_THRESHOLD)
    counts = [group_counts(x, groups) for x in (predictions & truth, predictions, truth)]  # (N, G) each
    terms = np.empty((len(p), len(groups), 3))
    for g, (_, columns) in enumerate(groups):
        hits, predicted, actual = (count[:, g] for count in counts)  # (N,) each
        if columns.stop - columns.start == 1:
            terms[:, g] = np.stack([hits, predicted, actual], axis=1)
        else:
            triple = (ratio(hits, predicted), ratio(hits, actual), ratio(2 * hits, predicted + actual))
            terms[:, g] = np.stack(triple, axis=1)
    return terms


def _videopar_terms(p: Floats, truth: Bools, groups: Groups) -> Bools:
    """(N, C, 3): of each class, whether the tracklet is a hit, predicted as it, of it."""
    terms = []
    for _, columns in groups:
        predicted, num_classes = classes(p[:, columns], VIDEOPAR_THRESHOLD)
        actual, _ = classes(truth[:, columns].astype(np.float64), VIDEOPAR_THRESHOLD)
        is_predicted, is_actual = (x[:, None] == np.arange(num_classes) for x in (predicted, actual))  # (N, K)
        terms.append(np.stack([is_predicted & is_actual, is_predicted, is_actual], axis=2))
    return np.concatenate(terms, axis=1)
