"""The scores of runs beside those that the paper prints for the same row of its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from vpar_cache.metrics.scoring import THRESHOLDS
from vpar_cache.models.systems import SYSTEMS
from vpar_cache.rendering.tables import (
    BASELINE_NOTES,
    MISSING,
    POINTS,
    PROTOCOL_NOTES,
    Notes,
    Number,
    Part,
    Table,
)
from vpar_cache.reporting.numbers import AVERAGES, GROUPS
from vpar_cache.reporting.published import published_numbers
from vpar_cache.runs.finished import PAPER_TEST_TRACKLETS, PAPER_TRAIN_TRACKLETS, FinishedRun

PAPER_TRAINING = {"epochs": 20, "lr": 1e-3, "weight_decay": 1e-4}
"""What the paper says of the training (Implementation Details)."""
PAPER_FRAMES = 6
"""Drawn from each tracklet: the paper says so for DUKE, the authors' code does so for both."""
PAPER_WEIGHTS = "openai"
FEWEST_SEEDS = 3
_HEADINGS = {"precision": "P", "recall": "R", "f1": "F1"}
_NOTES = (
    "ours: mean ± standard deviation between seeds. difference: ours minus the paper's, in points. –: the paper "
    "prints no such figure.",
    "recipe paper: what the paper says; recipe reference: features and training as in its authors' code; "
    "docs/reproduce.md says what still differs.",
)


@dataclass(frozen=True)
class Row:
    """One figure, in percent: of our runs, of the paper, of the best constant."""

    system: str
    """Its name in the paper."""
    recipe: str
    protocol: str
    group: str
    """A group of attributes, or average."""
    metric: str
    values: tuple[float, ...]
    """One for each seed."""
    published: float | None
    best_constant: float | None

    @property
    def mean(self) -> float:
        return mean(self.values)

    @property
    def deviation(self) -> float | None:
        """Between seeds, of the sample; None for one seed."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        return None if self.published is None else self.mean - self.published


@dataclass(frozen=True)
class Comparison:
    """All rows, and what keeps them from being a reproduction of the paper."""

    dataset: str
    rows: tuple[Row, ...]
    why_not: tuple[str, ...]
    """Empty for a reproduction."""
    cautions: tuple[str, ...]
    random_weights: bool


def compare(dataset: str, runs: Sequence[FinishedRun]) -> Comparison:
    """Return the scores of runs of one dataset beside the published ones."""
    together: dict[tuple[str, str], list[FinishedRun]] = {}
    for run in runs:
        together.setdefault((run.model, run.recipe), []).append(run)
    return Comparison(
        dataset,
        tuple(row for (model, recipe), same in together.items() for row in _rows(dataset, model, recipe, same)),
        tuple(dict.fromkeys(reason for run in runs for reason in _why_not(dataset, run))),
        tuple(dict.fromkeys(caution for same in together.values() for caution in _cautions(same))),
        any(run.random_weights for run in runs),
    )


def _rows(dataset: str, model: str, recipe: str, runs: Sequence[FinishedRun]) -> Iterator[Row]:
    """Yield the averages that the paper prints for this system on any dataset, then the groups on this one."""
    system = SYSTEMS[model].paper_name
    printed = [n for numbers in published_numbers().values() for n in numbers if _is_row_of(n, system)]
    here = {(n.group, n.metric): n.value for n in printed if n.dataset == dataset}
    protocol = printed[0].protocol
    averages = dict.fromkeys(("average", n.metric) for n in printed if n.table == AVERAGES)
    groups = dict.fromkeys(key for key in here if key[0] != "average")
    for group, metric in (*averages, *groups):
        found = [run.scores[protocol] for run in runs]
        values = [block.average if group == "average" else block.groups.get(group, {}) for block in found]
        if not all(metric in block for block in values):
            continue  # no test tracklet has a label of this group
        constant = runs[0].best_constant.get(protocol)
        of_constant = (
            {} if constant is None else constant.average if group == "average" else constant.groups[group]
        )
        yield Row(
            system,
            recipe,
            protocol,
            group,
            metric,
            tuple(100 * block[metric] for block in values),
            here.get((group, metric)),
            100 * of_constant[metric] if metric in of_constant else None,
        )


def _is_row_of(number: Number, system: str) -> bool:
    """Return whether a number is of the paper's row of this name: EventPAR has a row VTB of its own."""
    return number.system == system and number.protocol != "instance"


def _why_not(dataset: str, run: FinishedRun) -> Iterator[str]:
    """Yield what is not as in the paper."""
    if run.random_weights:
        yield "random weights: the encoder was not trained, so the scores say nothing about the method"
    counts, whole = (
        (run.num_train, run.num_tracklets),
        (PAPER_TRAIN_TRACKLETS[dataset], PAPER_TEST_TRACKLETS[dataset]),
    )
    if counts != whole:
        yield (
            f"not the whole of {dataset.upper()}: {counts[0]} train and {counts[1]} test tracklets, not "
            f"{whole[0]:,} and {whole[1]:,}"
        )
    system = SYSTEMS[run.model]
    if system.title(run.model, run.backbone) != system.paper_name:
        yield f"another backbone than the paper's for {system.paper_name}: {run.backbone}"
    for name, value in PAPER_TRAINING.items():
        if run.settings.get(name) != value:
            yield f"another setting than the paper's: {name} {run.settings.get(name)}, not {value}"
    if (frames := run.extraction.get("frames")) != PAPER_FRAMES:
        yield f"another setting than the authors': frames {frames}, not {PAPER_FRAMES}"


def _cautions(runs: Sequence[FinishedRun]) -> Iterator[str]:
    """Yield what a reader must know of runs of one row."""
    run = runs[0]
    is_clip = run.backbone.startswith("open_clip:")
    known = run.weights in (PAPER_WEIGHTS, f"{run.weights.partition(' ')[0]} ({PAPER_WEIGHTS})")
    if is_clip and not known and not run.random_weights:
        yield f"weights {run.weights}: not known as OpenAI's, which the paper used"
    if len(runs) < FEWEST_SEEDS:
        yield f"{SYSTEMS[run.model].paper_name}, recipe {run.recipe}: {len(runs)} of {FEWEST_SEEDS} seeds"


def comparison_part(found: Comparison) -> Part:
    """Return what is printed: why it is no reproduction, averages, groups, and how to read them."""
    blocks: list[Table | Notes] = []
    if found.why_not:
        blocks.append(Notes(("THIS IS NO REPRODUCTION OF THE PAPER", *found.why_not)))
    if found.cautions:
        blocks.append(Notes(found.cautions))
    mark = " (random weights)" if found.random_weights else ""
    place = found.dataset.upper()
    averages = [row for row in found.rows if row.group == "average"]
    header = ("Metric", "Ours", "Paper", "Difference", "Best constant")
    blocks.append(
        Table(
            f"{place}: averages beside the paper's, in percent{mark}",
            ("System", *header),
            tuple((_name(row), f"{row.protocol} {_HEADINGS[row.metric]}", *_cells(row)) for row in averages),
            num_labels=2,
            systems_in="rows",
        )
    )
    by_system: dict[tuple[str, str], list[Row]] = {}
    for row in found.rows:
        if row.group != "average":
            by_system.setdefault((_name(row), row.protocol), []).append(row)
    for (name, protocol), rows in by_system.items():
        title = f"{place}: F1 of each group under {protocol}, {name}, in percent{mark}"
        blocks.append(Table(title, ("Group", *header[1:]), tuple((row.group, *_cells(row)) for row in rows)))
    blocks.append(Notes((*_NOTES, *PROTOCOL_NOTES[:2], BASELINE_NOTES[0])))
    return Part(place, tuple(_numbers(found)), tuple(blocks))


def _name(row: Row) -> str:
    return f"{row.system}, recipe {row.recipe}"


def _cells(row: Row) -> tuple[str, ...]:
    ours = f"{row.mean:.2f}" + ("" if row.deviation is None else f" ± {row.deviation:.2f}")
    others = (
        MISSING if value is None else format(value, form)
        for value, form in ((row.published, ".2f"), (row.difference, "+.2f"), (row.best_constant, ".2f"))
    )
    return ours, *others


def _numbers(found: Comparison) -> Iterator[Number]:
    """Yield the rows of the long table: ours with the best constant, the paper's, the difference."""
    for row in found.rows:
        about: dict[str, Any] = {
            "table": AVERAGES if row.group == "average" else GROUPS,
            "dataset": found.dataset,
            "system": row.system,
            "protocol": row.protocol,
            "threshold": THRESHOLDS[row.protocol],
            "group": row.group,
        }
        ours: dict[str, Any] = {"kind": row.recipe, "weights": "random" if found.random_weights else "", **about}
        source = f"mean of {len(row.values)} {'seed' if len(row.values) == 1 else 'seeds'}"
        yield Number(source=source, metric=row.metric, value=row.mean, best_constant=row.best_constant, **ours)
        if row.deviation is not None:
            yield Number(source=source, metric=f"{row.metric}_deviation", value=row.deviation, **ours)
        if row.published is not None and row.difference is not None:
            yield Number(source="published", metric=row.metric, value=row.published, **about)
            yield Number(source="difference", metric=row.metric, value=row.difference, unit=POINTS, **ours)
