"""Scores as rows of the long table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vpar_cache.metrics.evaluation import Evaluation
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.scoring import SELECTED, protocols_of
from vpar_cache.metrics.shuffled import Chance
from vpar_cache.rendering.tables import Number
from vpar_cache.runs.finished import FinishedRun

Named = tuple[FinishedRun, str]
"""A run and what the report calls it."""
AVERAGES, GROUPS = "averages", "groups"
"""The tables of every system: its averages over groups, and its scores of each group."""


def about_run(run: FinishedRun, name: str) -> dict[str, Any]:
    """Return what all numbers of a run share; `name` is what the report calls it."""
    kind = ", ".join(filter(None, (run.title, run.recipe)))
    return {"dataset": run.dataset, "split": run.split, "system": name, "source": "run", "kind": kind,
            "weights": run.weights}  # fmt: skip


def evaluation_numbers(found: Evaluation, **about: Any) -> Iterator[Number]:
    """Yield every score of a predictor, averages first, with its interval and baselines where there are any.

    The protocol of a number is its key in `found.scores`, so that vtf_selected stays apart from vtf even at an
    equal threshold. `about` are the fields of Number that all share.
    """
    for protocol in found.protocols:
        block = found.scores[protocol]
        for number in score_numbers(protocol, block, n=found.num_tracklets, **about):
            key = protocol, None if number.table == AVERAGES else number.group, number.metric
            low, high = found.intervals.of(*key) or (None, None)
            yield with_chance(
                replace(
                    number, low=_percent(low), high=_percent(high), best_constant=_percent(found.constant_of(*key))
                ),
                found.chance_of(*key),
            )


def score_numbers(protocol: str, block: ProtocolScores, **about: Any) -> Iterator[Number]:
    """Yield every score of one protocol, averages first. `about` are the fields of Number that all share."""
    rows = [(AVERAGES, "average", block.average), *((GROUPS, *item) for item in block.groups.items())]
    for table, group, metrics in rows:
        for metric, value in metrics.items():
            yield Number(
                table=table, protocol=protocol, threshold=block.threshold, group=group, metric=metric,
                value=100 * value, **about,
            )  # fmt: skip


def with_chance(number: Number, chance: Chance | None) -> Number:
    """Return the number with what shuffled predictions score, where that is known."""
    if chance is None:
        return number
    return replace(
        number,
        shuffled=_percent(chance.mean),
        shuffled_low=_percent(chance.low),
        shuffled_high=_percent(chance.high),
        p=chance.p,
    )


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def run_label(run: FinishedRun, name: str) -> str:
    """Return a run's name with what must be known beside each of its numbers."""
    marks = ["random weights"] if run.random_weights else []
    return with_marks(name, [*filter(None, (run.title, run.recipe)), *marks])


def with_marks(name: str, marks: Sequence[str]) -> str:
    """Return "name (mark, mark)"."""
    return f"{name} ({', '.join(marks)})" if marks else name


def unique_names(runs: Sequence[FinishedRun]) -> list[str]:
    """Return the runs' names; of one name, also their folder; of one folder, also the test set."""
    folders = [run.folder for run in runs]
    places = {run.name: {one.folder for one in runs if one.name == run.name} for run in runs}
    return [
        run.name
        + (f" in {run.folder}" if len(places[run.name]) > 1 else "")
        + (f" on {run.dataset}" if folders.count(run.folder) > 1 else "")
        for run in runs
    ]


def best_constants(runs: Sequence[FinishedRun], names: Sequence[str]) -> Iterator[Number]:
    """Yield the scores of the distinct best constants: other train labels may give another one."""
    return _distinct("constant", "best constant", [run.best_constant for run in runs], runs, names)


def priors(runs: Sequence[FinishedRun], names: Sequence[str]) -> Iterator[Number]:
    """Yield the averages of the distinct priors."""
    for number in _distinct("prior", "prior", [run.prior for run in runs], runs, names):
        if number.table == AVERAGES and number.protocol != SELECTED:
            yield replace(number, table="prior")


def _distinct(
    source: str,
    name: str,
    found: Sequence[Mapping[str, ProtocolScores]],
    runs: Sequence[FinishedRun],
    names: Sequence[str],
) -> Iterator[Number]:
    """Yield the distinct scores that runs have of a predictor that sees no image.

    A run with a chosen threshold has a further one, which is told apart only where it differs.
    """
    about = {"dataset": runs[0].dataset, "split": runs[0].split, "n": runs[0].num_tracklets, "source": source}
    for protocol in (*protocols_of(runs[0].unit), SELECTED):
        owners: dict[str, list[int]] = {}
        for i, blocks in enumerate(found):
            if protocol in blocks:
                owners.setdefault(str(blocks[protocol]), []).append(i)
        for members in owners.values():
            whose = "" if len(owners) == 1 else f" of {', '.join(names[i] for i in members)}"
            yield from score_numbers(protocol, found[members[0]][protocol], system=name + whose, **about)
