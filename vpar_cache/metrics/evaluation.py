"""All numbers of one predictor on one set of tracklets: scores of every protocol with the baselines beside them.

Computed once, when a run is written or a file is scored, and stored as plain JSON; tables only read it. Numbers
that are not counts are fractions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from vpar_cache.metrics.constants import best_constant
from vpar_cache.metrics.inputs import Bools, Floats, Groups, check_inputs
from vpar_cache.metrics.intervals import Intervals, intervals
from vpar_cache.metrics.outputs import Details, details
from vpar_cache.metrics.parts import MIN_TRACKLETS, Part
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.scoring import PROTOCOLS, SELECTED, protocols_of, score_all
from vpar_cache.metrics.shuffled import SHUFFLES, Chance, ShuffledScores, ShuffledSums, chance, shuffled_rows


@dataclass(frozen=True)
class PartScore:
    """The average F1 of a part under one protocol, and what it is to be read against."""

    f1: float
    mA: float | None  # noqa: N815 - its name in the field
    best_constant: float | None
    shuffled: Chance | None


@dataclass(frozen=True)
class PartScores:
    """Scores of a part of the tracklets, by protocol; none where it is too small or has no known label."""

    kind: str
    name: str
    num_tracklets: int
    num_people: int | None
    scores: Mapping[str, PartScore]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All numbers of one predictor on N tracklets with A outputs."""

    num_tracklets: int
    num_people: int | None
    """None where people are not known."""
    unknown: Mapping[str, int]
    """Unknown labels by group, of the groups that have any."""
    scores: Mapping[str, ProtocolScores]
    """By protocol: all of PROTOCOLS, and vtf_selected where a threshold was selected."""
    intervals: Intervals
    shuffles: int
    shuffled: Mapping[str, ShuffledScores]
    """By protocol, as `scores`; empty where there is one person alone."""
    constants: Mapping[str, tuple[bool, ...]]
    """By protocol: which outputs the best constant says; empty without train labels, as are the next three."""
    best_constant: Mapping[str, ProtocolScores]
    """Its scores, by protocol as `scores`."""
    prior_rates: tuple[float, ...]
    """Each output's share of the known train labels."""
    prior: Mapping[str, ProtocolScores]
    """Scores of these rates as probabilities."""
    parts: tuple[PartScores, ...]
    details: Details
    unit: Literal["tracklet", "image"] = "tracklet"
    """What a row is. It decides which protocol comes first in reports."""

    @property
    def protocols(self) -> tuple[str, ...]:
        """The names of `scores`, those that are read first first."""
        chosen = (SELECTED,) if SELECTED in self.scores else ()
        return (*protocols_of(self.unit), *chosen)

    def constant_of(self, protocol: str, group: str | None, metric: str) -> float | None:
        """Return the best constant's score, None where there is none. `group` None: the average."""
        found = self.best_constant.get(protocol)
        if found is None:
            return None
        return (found.average if group is None else found.groups.get(group, {})).get(metric)

    def chance_of(self, protocol: str, group: str | None, metric: str) -> Chance | None:
        """Return the score of shuffled predictions, None where there is none. `group` None: the average."""
        found = self.shuffled.get(protocol)
        if found is None:
            return None
        return (found.average if group is None else found.groups.get(group, {})).get(metric)


@dataclass(frozen=True, eq=False)
class Baselines:
    """What is chosen on train labels alone."""

    constants: Mapping[str, Bools]
    """The best constant of each protocol, (A,) each."""
    rates: NDArray[np.float64]
    """(A,)"""


def baselines(labels: NDArray[Any], groups: Groups, *, known: ArrayLike | None = None) -> Baselines:
    """Return the constants and rates of train labels (N, A) where known (N, A). Raises as Protocol.score."""
    _, truth, is_known = check_inputs(np.zeros(labels.shape), labels, groups, known=known)
    rates = truth.sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)  # (A,)
    constants = {
        name: best_constant(protocol, labels, groups, known=known) for name, protocol in PROTOCOLS.items()
    }
    return Baselines(constants, rates)


def evaluate(
    probabilities: ArrayLike,
    labels: ArrayLike,
    groups: Groups,
    *,
    known: ArrayLike | None = None,
    people: ArrayLike | None = None,
    train: Baselines | None = None,
    selected_threshold: float | None = None,
    parts: Sequence[Part] = (),
    unit: Literal["tracklet", "image"] = "tracklet",
) -> Evaluation:
    """Return all numbers of probabilities (N, A) against labels (N, A) where known (N, A).

    `people`: N integers, None where they are not known. `train`: what is chosen on train labels; None: there are
    none, so no best constant and no prior. `selected_threshold`: one that was chosen on validation people.
    `unit`: what a row is. Raises as Protocol.score.
    """
    p, truth, is_known = check_inputs(probabilities, labels, groups, one_class=True, known=known)
    ids = None if people is None else np.asarray(people)
    scores = score_all(p, truth, groups, selected_threshold, known=is_known)
    constant, prior = {}, {}
    if train is not None:
        constant = {name: _constant_scores(name, train, truth, is_known, groups) for name in scores}
        rates = np.broadcast_to(train.rates, p.shape)  # (N, A)
        prior = score_all(rates, truth, groups, selected_threshold, known=is_known)
    large = [part for part in parts if _is_large(part, is_known)]
    shuffles = _shuffled_sums(p, truth, is_known, groups, ids, scores, large)
    unknown = {name: int((~is_known[:, columns.start]).sum()) for name, columns in groups}
    return Evaluation(
        num_tracklets=len(p),
        num_people=None if ids is None else len(np.unique(ids)),
        unknown={name: count for name, count in unknown.items() if count},
        scores=scores,
        intervals=intervals(p, truth, groups, ids, known=is_known, unit=unit),
        shuffles=SHUFFLES,
        shuffled={name: _shuffled(sums, scores[name]) for name, sums in shuffles.items()},
        constants={name: tuple(held.tolist()) for name, held in train.constants.items()} if train else {},
        best_constant=constant,
        prior_rates=tuple(train.rates.tolist()) if train else (),
        prior=prior,
        parts=tuple(_parts(p, truth, is_known, groups, ids, train, parts, shuffles)),
        details=details(p, truth, is_known, groups, None if train is None else train.rates),
        unit=unit,
    )


def _constant_scores(name: str, train: Baselines, labels: Bools, known: Bools, groups: Groups) -> ProtocolScores:
    """Return the scores of the constant; a chosen threshold is compared with the constant's own choice."""
    protocol = PROTOCOLS["vtf" if name == SELECTED else name]
    held = np.broadcast_to(train.constants[protocol.name].astype(np.float64), labels.shape)  # (N, A)
    return protocol.score(held, labels, groups, known=known)


def _shuffled_sums(
    p: Floats,
    labels: Bools,
    known: Bools,
    groups: Groups,
    people: NDArray[Any] | None,
    scores: Mapping[str, ProtocolScores],
    parts: Sequence[Part],
) -> dict[str, ShuffledSums]:
    rows = np.stack([np.ones(len(p)), *(part.rows for part in parts)])  # (S, N)
    sums = {
        name: ShuffledSums(PROTOCOLS[found.protocol], found.threshold, (p, labels, known), groups, rows)
        for name, found in scores.items()
    }
    givers = list(shuffled_rows(people, len(p)))  # (N,) each
    with threadpool_limits(1, "blas"):  # on a busy machine, threads that wait for each other took 80 times as long
        for giver in givers:
            for one in sums.values():
                one.add(giver)
    return sums if givers else {}


def _shuffled(sums: ShuffledSums, scores: ProtocolScores) -> ShuffledScores:
    by_group, average = sums.metrics()
    return ShuffledScores(
        {metric: chance(average[metric][:, 0], score) for metric, score in scores.average.items()},
        {name: {"f1": chance(by_group[name]["f1"][:, 0], found["f1"])} for name, found in scores.groups.items()},
    )


def _parts(
    p: Floats,
    labels: Bools,
    known: Bools,
    groups: Groups,
    people: NDArray[Any] | None,
    train: Baselines | None,
    parts: Sequence[Part],
    shuffles: Mapping[str, ShuffledSums],
) -> Iterator[PartScores]:
    """Yield the scores of each part. `shuffles` has sums of all tracklets, then of each large part."""
    averages = {name: sums.metrics()[1]["f1"] for name, sums in shuffles.items()}  # (R, S) each
    column = 0
    for part in parts:
        rows = part.rows  # (N,)
        found = {}
        if _is_large(part, known):
            column += 1
            for name, protocol in PROTOCOLS.items():
                scores = protocol.score(p[rows], labels[rows], groups, known=known[rows]).average
                best = None
                if train is not None:
                    best = _constant_scores(name, train, labels[rows], known[rows], groups).average["f1"]
                luck = chance(averages[name][:, column], scores["f1"]) if averages else None
                found[name] = PartScore(scores["f1"], scores.get("mA"), best, luck)
        number = None if people is None else len(np.unique(people[rows]))
        yield PartScores(part.kind, part.name, int(rows.sum()), number, found)


def _is_large(part: Part, known: Bools) -> bool:
    return bool(part.rows.sum() >= MIN_TRACKLETS and known[part.rows].any())
