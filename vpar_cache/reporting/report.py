"""Tables 1 and 2 of the paper: its published rows, the best constant of the split, and your runs.

A number stands beside another only if protocol, test rows and attributes agree. So each protocol has tables of
its own, runs on other rows or another schema get tables of their own, and published rows appear beside runs on the
paper's test split alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vpar_cache.errors import CacheError, UserError
from vpar_cache.metrics.verdict import verdict
from vpar_cache.rendering.tables import BASELINE_NOTES, PROTOCOL_NOTES, Notes, Number, Part
from vpar_cache.reporting.comparison import comparable, compare_runs
from vpar_cache.reporting.numbers import (
    Named,
    about_run,
    best_constants,
    evaluation_numbers,
    priors,
    unique_names,
)
from vpar_cache.reporting.paper_tables import paper_tables
from vpar_cache.reporting.published import PUBLISHED_NOTE, constant_numbers, published_numbers
from vpar_cache.reporting.run_details import run_details
from vpar_cache.runs.finished import FinishedRun, find_runs, read_runs
from vpar_cache.runs.name import natural_order

_MARS_NOTE = (
    "MARS: under vtf a constant already scores top length 97.00, bottom type 93.35 and motion 89.69; read the "
    "paper's 97.26, 97.21 and 93.50 against that."
)
_PRIOR_NOTE = "prior: each output's train frequency as its probability for every tracklet; no measure."
_DUKE_NOTE = "DUKE: its best constant is known once a run has read its labels."
_INTERVAL_NOTE = (
    "95 %: percentile bootstrap over the test people with all their tracklets (where people are not known, over "
    "tracklets or images); other training seeds are not in it."
)
_RANDOM_CAVEAT = "random weights: the encoder was not trained, so these numbers say nothing about the method."


@dataclass(frozen=True)
class Section:
    """The systems of one test split and schema: all that may be compared."""

    place: str
    numbers: tuple[Number, ...]
    verdicts: tuple[str, ...] = ()
    """A sentence for each run: how far it is above what sees no image."""
    remarks: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    """A sentence for each run: what an epoch cost. Shown with details."""
    unit: str = "tracklet"
    """What the rows are: tracklets or images."""

    def part(self, with_details: bool) -> Part:
        """Return the verdicts, then Tables 1 and 2, with further columns where details are wanted."""
        after_lines = (*self.remarks, *(self.costs if with_details else ()))
        before, after = ((Notes(lines),) if lines else () for lines in (self.verdicts, after_lines))
        tables = paper_tables(self.numbers, self.place, with_details, self.unit)
        return Part(self.place, self.numbers, (*before, *tables, *after))


@dataclass(frozen=True)
class Report:
    """All that the report says, independent of how it is rendered (rendering.formats, rendering.page)."""

    sections: tuple[Section, ...]
    footnotes: tuple[str, ...]
    notes: tuple[str, ...]
    """For the user and not part of the tables: print them to stderr."""
    details: tuple[Part, ...] = ()
    """Where they were asked for: of single runs, then of differences between runs."""
    runs: tuple[Named, ...] = ()
    with_details: bool = False
    is_incomplete: bool = False
    """Whether a damaged run, or what was asked of a run, is left out; the notes name it."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The sections, the details, and the footnotes."""
        sections = (section.part(self.with_details) for section in self.sections)
        return *sections, *self.details, Part("How to read the numbers", (), (Notes(self.footnotes),))

    @property
    def numbers(self) -> list[Number]:
        """The long table."""
        return [number for part in self.parts for number in part.numbers]

    def with_all_details(self) -> Report:
        """Return what a page shows: it has room for everything. What is left out is in the notes."""
        details, left_out = _all_details(self.runs, self.details)
        notes = tuple(dict.fromkeys((*self.notes, *left_out)))
        return replace(self, details=details, notes=notes, with_details=True)


def report(
    run_folders: Sequence[str | os.PathLike[str]] = (),
    runs_root: str | os.PathLike[str] = Path("cache/runs"),
    details: bool = False,
    compare: bool = False,
) -> Report:
    """Return the tables of these runs, each a folder or the name of one under `runs_root`.

    No run given: all finished ones under `runs_root`, by dataset and name; the unfinished are in the notes.
    None there either: the published rows alone. `details` of each run and `compare` of each later run with the
    first read single tracklets. A damaged run is left out; CacheError where no other is left, where there is no
    such folder, and for a comparison of other tracklets.
    """
    runs_root = Path(runs_root)
    if run_folders:
        runs, notes = _readable(find_runs([Path(folder) for folder in run_folders], runs_root))
    else:
        if runs_root.exists() and not runs_root.is_dir():
            raise UserError(f"--runs: got {str(runs_root)!r}, which is not a folder; give the folder of the runs")
        finished = sorted(path.parent for path in runs_root.glob("[!.]*/metrics.json"))  # .*: being written
        runs, notes = _readable(finished)
        runs.sort(key=lambda run: (run.dataset, natural_order(run.name)))
        unfinished = sorted({path.parent for path in runs_root.glob("[!.]*/run.json")} - set(finished))
        if unfinished:
            names = ", ".join(folder.name for folder in unfinished)
            notes.append(f"left out, not finished (no metrics.json): {names} in {runs_root}")
    is_incomplete = bool(notes)
    if not runs:
        notes.append(
            f"no finished run in {runs_root}, so there are published rows only; make one with "
            "'vpar extract --dataset mars --root DIR' and 'vpar train --features cache/mars.h5', or with "
            "'vpar demo'"
        )
    if runs:
        sections = tuple(_sections(runs))
    else:
        sections = tuple(
            Section(dataset, (*rows, *constant_numbers().get(dataset, ())))
            for dataset, rows in published_numbers().items()
        )
    named = tuple(zip(runs, unique_names(runs), strict=True))
    more, left_out = _asked_details(named, details, compare)
    notes += left_out
    footnotes = tuple(_footnotes(sections, runs))
    return Report(sections, footnotes, tuple(notes), more, named, details, is_incomplete or bool(left_out))


def _readable(folders: Sequence[Path]) -> tuple[list[FinishedRun], list[str]]:
    """Return the runs that can be read, and a note for each other one. Raises its CacheError if none can."""
    runs: list[FinishedRun] = []
    errors = []
    for folder in folders:
        try:
            runs += read_runs(folder)
        except CacheError as error:
            errors.append(error)
    if errors and not runs:
        raise errors[0]
    return runs, [f"left out, damaged: {error}" for error in errors]


def _footnotes(sections: Sequence[Section], runs: Sequence[FinishedRun]) -> Iterator[str]:
    """Yield what a reader of these very tables must know."""
    numbers = [number for section in sections for number in section.numbers]
    published = {number.dataset for number in numbers if number.source == "published"}
    yield from PROTOCOL_NOTES
    yield from BASELINE_NOTES if runs else BASELINE_NOTES[:1]
    if published:
        yield PUBLISHED_NOTE
    if "mars" in published:
        yield _MARS_NOTE
    if "duke" in published and not runs:
        yield _DUKE_NOTE
    if any(number.source == "prior" for number in numbers):
        yield _PRIOR_NOTE
    if any(number.low is not None for number in numbers):
        yield _INTERVAL_NOTE
    if any(run.random_weights for run in runs):
        yield _RANDOM_CAVEAT


def _sections(runs: Sequence[FinishedRun]) -> Iterator[Section]:
    """Yield runs that may be compared, together; in the order of their first run."""
    together: dict[str, list[FinishedRun]] = {}
    for run in runs:
        together.setdefault(run.rows, []).append(run)
    places = [members[0].place for members in together.values()]
    for rows, members in together.items():
        first = members[0]
        place = first.place if places.count(first.place) == 1 else f"{first.place}, rows {rows[:6]}"
        numbers = list(published_numbers()[first.dataset.upper()]) if first.is_on_paper_split else []
        names = unique_names(members)
        verdicts = tuple(
            f"{name}: {verdict(run)}" for run, name in zip(members, names, strict=True) if verdict(run)
        )
        costs = tuple(f"{name}: {run.cost}" for run, name in zip(members, names, strict=True) if run.cost)
        remarks = []
        if not numbers and first.dataset.upper() in published_numbers():
            remarks.append(
                f"{place} is not the paper's test split and attributes, so no published row stands beside it"
            )
        remarks += [
            f"{name}: trained on {len(run.features)} caches ({run.trained_on})"
            for run, name in zip(members, names, strict=True)
            if len(run.features) > 1
        ]
        if first.num_people is None:
            remarks.append(f"{place}: people are not known, so intervals and shuffles are over {first.unit}s")
        if first.unknown:
            counts = ", ".join(f"{group} {count}" for group, count in first.unknown.items())
            remarks.append(f"{place}: unknown labels, which no score counts: {counts}")
        numbers += best_constants(members, names)
        for run, name in zip(members, names, strict=True):
            numbers += evaluation_numbers(run, **about_run(run, name))
        found = list(priors(members, names))
        if found:
            remarks.append(_prior_remark(found))
        yield Section(place, (*numbers, *found), verdicts, tuple(remarks), costs, first.unit)


def _prior_remark(numbers: Sequence[Number]) -> str:
    f1 = [f"{number.value:.2f} ({number.protocol})" for number in numbers if number.metric == "f1"]
    return f"prior, which is no measure: F1 {', '.join(f1)}"


def _asked_details(
    runs: Sequence[Named], details: bool, compare: bool
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Return the details of each run, and the differences of each later run to the first; and what is left out.

    Raises UserError for a comparison of one run, CacheError for predictions that do not fit.
    """
    first = [one for one in runs if one[0].folder == runs[0][0].folder]  # once for each test set
    if compare and len(runs) == len(first):
        named = runs[0][1] if runs else "none"
        raise UserError(f"--compare: got {named}; expected at least two runs. Name the runs to compare")
    found, left_out = _details(runs if details else ())
    return (*found, *(compare_runs(*pair) for pair in comparable(first, runs) if compare)), left_out


def _details(runs: Sequence[Named], known: Sequence[Part] = ()) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Return the details of each run, those in `known` as they are, and what is left out since it is damaged."""
    made = {(part.numbers[0].source, part.numbers[0].system): part for part in known}
    found, left_out = [], []
    for run, name in runs:
        try:
            found.append(made.get(("run", name)) or run_details(run, name))
        except CacheError as error:
            left_out.append(f"no details of {name}: {error}")
    return tuple(found), tuple(left_out)


def _all_details(runs: Sequence[Named], known: Sequence[Part]) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Return the details of each run and its difference to the first run that it can be compared with.

    The second tuple says what is left out since predictions are missing or do not fit: nobody asked for any of
    it by name. Details in `known` are not made again.
    """
    details, damaged = _details(runs, known)
    found, left_out = list(details), list(damaged)
    together: dict[str, list[Named]] = {}
    for run, name in runs:
        together.setdefault(run.rows, []).append((run, name))
    for first, *others in together.values():
        for other in others:
            try:
                found.append(compare_runs(first, other))
            except CacheError as error:
                left_out.append(f"no comparison of {other[1]} with {first[1]}: {error}")
    return tuple(found), tuple(left_out)
