"""Scores of a run's own predictions, shuffled among the test tracklets: their worth without the pictures.

A permutation test. Tracklets of one person resemble each other, so people are shuffled: each test person gets the
predictions of another person, and each of its tracklets those of one of the other's tracklets, drawn with
replacement. Where people are not known, each tracklet gets the predictions of another one. p is
(1 + shuffles that score at least as high) / (1 + shuffles), so that it is never 0 (Phipson and Smyth,
"Permutation P-values should never be zero", 2010).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpar_cache.metrics.inputs import Bools, Floats, Groups
from vpar_cache.metrics.intervals import person_numbers
from vpar_cache.metrics.protocol import Metrics, Numbers, Protocol, Terms

SHUFFLES = 200


@dataclass(frozen=True)
class Chance:
    """One score of shuffled predictions, fractions."""

    mean: float
    low: float
    """2.5th percentile of the shuffles."""
    high: float
    """97.5th percentile."""
    p: float
    """Of a shuffle scoring at least as high as the predictions themselves."""


@dataclass(frozen=True)
class ShuffledScores:
    """Scores of shuffled predictions under one protocol."""

    average: Mapping[str, Chance]
    groups: Mapping[str, Mapping[str, Chance]]
    """By group and metric (f1)."""


def shuffled_rows(people: ArrayLike | None, num_tracklets: int, seed: int = 0) -> Iterator[NDArray[np.intp]]:
    """Yield SHUFFLES times the row (N,) whose predictions each of N tracklets gets; nothing for one person.

    People are the integers `people` (N,), or None where they are not known.
    """
    person, number = person_numbers(people, num_tracklets)
    if number < 2:
        return
    order = np.argsort(person, kind="stable")  # (N,) rows by person
    starts = np.searchsorted(person[order], np.arange(number))  # (P,)
    counts = np.bincount(person, minlength=number)  # (P,)
    generator = np.random.default_rng(seed)
    for _ in range(SHUFFLES):
        cycle = generator.permutation(number)  # (P,)
        giver = np.empty(number, dtype=np.intp)  # (P,)
        giver[cycle] = np.roll(cycle, 1)  # one cycle through all people, so that nobody keeps the own predictions
        chosen = (generator.random(num_tracklets) * counts[giver[person]]).astype(np.intp)  # (N,)
        yield order[starts[giver[person]] + chosen]


class ShuffledSums:
    """Collects the sums of a protocol's terms over shuffles, for all tracklets and for parts of them."""

    def __init__(
        self,
        protocol: Protocol,
        threshold: float,
        arrays: tuple[Floats, Bools, Bools],
        groups: Groups,
        parts: Numbers,
    ) -> None:
        """`arrays`: probabilities, labels, known, (N, A) each; `parts`: (S, N) 1 where a part has a tracklet."""
        probabilities, self._labels, self._known = arrays
        self._protocol, self._groups, self._units = protocol, groups, protocol.units(groups)
        self._answers = protocol.answers(probabilities, groups, threshold)  # (N, C)
        self._parts: dict[type, Floats] = {dtype: parts.astype(dtype) for dtype in (np.float32, np.float64)}
        self._fixed = self._sums(protocol.label_terms(self._labels, self._known, self._units))  # (S, k) each
        self._shuffles: list[dict[str, Numbers]] = []

    def add(self, giver: NDArray[np.intp]) -> None:
        """Add one shuffle: the row (N,) whose answers each tracklet gets."""
        terms = self._protocol.answer_terms(self._answers[giver], self._labels, self._known, self._units)
        self._shuffles.append(self._sums(terms))

    def _sums(self, terms: Terms) -> dict[str, Numbers]:
        sums = {}
        for name, values in terms.items():
            dtype = np.float32 if values.dtype == bool else np.float64  # counts are exact in both
            wide: Floats = values.astype(dtype)  # (N, k)
            sums[name] = (self._parts[dtype] @ wide).astype(np.float64)  # (S, k)
        return sums

    def metrics(self) -> tuple[dict[str, Metrics], Metrics]:
        """Return the metrics of each group and their averages, (R, S) each."""
        sums = {name: np.stack([one[name] for one in self._shuffles]) for name in self._shuffles[0]}  # (R, S, k)
        fixed = {
            name: np.broadcast_to(values, (len(self._shuffles), *values.shape))
            for name, values in self._fixed.items()
        }
        by_unit, average = self._protocol.metrics_of_sums({**fixed, **sums}, self._groups)
        return ({} if self._protocol.joint else by_unit), average


def chance(shuffled: Numbers, score: float) -> Chance:
    """Return what scores (R,) of shuffled predictions say about the score of the predictions themselves."""
    low, high = np.percentile(shuffled, [2.5, 97.5])
    at_least = int((shuffled >= score - 1e-9).sum())  # sums of equal scores differ in the last digits
    return Chance(
        round(float(shuffled.mean()), 6), round(float(low), 6), round(float(high), 6),
        round((1 + at_least) / (1 + len(shuffled)), 6),
    )  # fmt: skip
