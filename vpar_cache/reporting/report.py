"""Tables 1 and 2 of the paper: its published rows, the prior of the split, and your runs.

A number stands beside another only if protocol, test split and attributes agree. So a protocol has columns
(Table 1) or a table (Table 2) of its own, runs on another split or schema get tables of their own, and
published rows appear beside runs on the paper's test split alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.scoring import SELECTED, THRESHOLDS
from vpar_cache.rendering.page import Part
from vpar_cache.rendering.sheets import Details
from vpar_cache.rendering.tables import PROTOCOL_NOTES, Block, Notes, long_rows, percents
from vpar_cache.reporting.details import Named, all_details, report_details
from vpar_cache.reporting.paper_tables import Section, System
from vpar_cache.reporting.published import published_scores
from vpar_cache.runs.scores import RunScores, find_runs, read_run

_PUBLISHED_NOTE = (
    "published: copied from the paper, not re-run here; 3DCNN, CNN-RNN and VideoPAR are videopar, the others "
    "vtf. The paper's Table 2 sets F1 of both side by side; here they never share a column. Its Improvements "
    "row is left out: for DUKE it is not the difference of its own rows."
)
_PRIOR_NOTE = (
    "prior: each output's train frequency as its probability for every tracklet; read every number against it."
)
_MARS_CAVEAT = (
    "MARS: under vtf the prior of the whole train split already scores top length 97.00, bottom type 93.35 "
    "and motion 89.69; read the paper's 97.26, 97.21 and 93.50 against that."
)
_INTERVAL_NOTE = (
    "95 %: percentile bootstrap over the test people with all their tracklets; other training seeds are not in it."
)
_RANDOM_CAVEAT = "random weights: the encoder was not trained, so these numbers say nothing about the method."


@dataclass(frozen=True)
class Report:
    """All that the report says, independent of how it is rendered (tables.render, tables.rich_blocks)."""

    sections: tuple[Section, ...]
    footnotes: tuple[str, ...]
    notes: tuple[str, ...]
    """For the user and not part of the tables: print them to stderr."""
    details: tuple[Details, ...] = ()
    """Where they were asked for: of single runs, then of differences between runs."""
    runs: tuple[Named, ...] = ()

    def blocks(self) -> list[Block]:
        """Tables of each section, then the details, then the footnotes."""
        blocks = [block for section in self.sections for block in section.blocks()]
        return [*blocks, *(block for one in self.details for block in one.blocks()), Notes(self.footnotes)]

    def parts(self) -> list[Part]:
        """The same blocks, under the headings of a page."""
        parts = [Part(section.dataset, section.blocks()) for section in self.sections]
        for details in self.details:
            title = details.system if details.source == "comparison" else f"Details of {details.system}"
            parts.append(Part(title, details.blocks()))
        return [*parts, Part("How to read the numbers", [Notes(self.footnotes)])]

    def with_all_details(self) -> Report:
        """What a page shows: it has room for everything. What is left out is in the notes."""
        details, left_out = all_details(self.runs)
        return replace(self, details=details, notes=(*self.notes, *left_out))

    def long_rows(self) -> list[dict[str, str]]:
        """One row per number (tables.LONG_COLUMNS)."""
        rows = [
            row
            for section in self.sections
            for s in section.systems
            for row in long_rows(section.dataset, s.name, s.source, s.weights, s.scores, s.intervals)
        ]
        return rows + [row for details in self.details for row in details.long_rows()]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        sections = [
            {
                "dataset": section.dataset,
                "systems": [system.to_dict() for system in section.systems],
                "remarks": list(section.remarks),
            }
            for section in self.sections
        ]
        details = {"details": [one.to_dict() for one in self.details]} if self.details else {}
        return {"unit": "percent", "sections": sections, **details, "footnotes": list(self.footnotes)}


def build_report(
    run_folders: Sequence[Path], runs_root: Path, details: bool = False, compare: bool = False
) -> Report:
    """The tables of these runs, each a folder or the name of one under `runs_root`.

    No run given: all finished ones under `runs_root`, by dataset and name; the unfinished are in the notes.
    None there either: the published rows alone. `details` of each run and `compare` of each later run with the
    first read single tracklets. Raises CacheError for a folder that is no finished run, or of other tracklets.
    """
    notes: list[str] = []
    if run_folders:
        runs = [read_run(folder) for folder in find_runs(run_folders, runs_root)]
    else:
        finished = sorted(path.parent for path in runs_root.glob("[!.]*/metrics.json"))  # .* is in the making
        runs = sorted((read_run(folder) for folder in finished), key=lambda run: (run.dataset, run.name))
        unfinished = sorted({path.parent for path in runs_root.glob("[!.]*/run.json")} - set(finished))
        if unfinished:
            names = ", ".join(folder.name for folder in unfinished)
            notes.append(f"left out, not finished (no metrics.json): {names} in {runs_root}")
    if not runs:
        notes.append(
            f"no finished run in {runs_root}, so there are published rows only and no prior; make one with "
            "'vpar extract --dataset mars --root DIR' and 'vpar train --features cache/mars.h5', or with "
            "'vpar demo'"
        )
    sections = _sections(runs) if runs else _published_sections()
    named = tuple(
        (run, name, _system(run, name).label("vtf")) for run, name in zip(runs, _unique_names(runs), strict=True)
    )
    more = report_details(named, details, compare)
    return Report(tuple(sections), tuple(_footnotes(sections, runs)), tuple(notes), more, named)


def _footnotes(sections: Sequence[Section], runs: Sequence[RunScores]) -> list[str]:
    """What a reader of these very tables must know."""
    sources = {system.source for section in sections for system in section.systems}
    footnotes = [*PROTOCOL_NOTES]
    if "published" in sources:
        footnotes.append(_PUBLISHED_NOTE)
    if "prior" in sources:
        footnotes.append(_PRIOR_NOTE)
    if not runs or any(run.is_on_paper_split and run.dataset == "mars" for run in runs):
        footnotes.append(_MARS_CAVEAT)
    if any(system.interval for section in sections for system in section.systems):
        footnotes.append(_INTERVAL_NOTE)
    if any(run.random_weights for run in runs):
        footnotes.append(_RANDOM_CAVEAT)
    return footnotes


def _published() -> dict[str, list[System]]:
    """The paper's rows by dataset (MARS, DUKE), in its order."""
    return {
        dataset: [System(method, "published", {scores.protocol: scores}) for method, scores in rows]
        for dataset, rows in published_scores().items()
    }


def _published_sections() -> list[Section]:
    sections = []
    for dataset, systems in _published().items():
        groups = {group: None for s in systems for block in s.scores.values() for group in block.groups}
        sections.append(Section(dataset, tuple(groups), tuple(systems)))
    return sections


def _sections(runs: Sequence[RunScores]) -> list[Section]:
    """Runs that may be compared, together; sections in the order of their first run."""
    together: dict[tuple[str, Any], list[RunScores]] = {}
    for run in runs:
        together.setdefault((run.place, run.outputs), []).append(run)
    published = _published()
    sections = []
    for (place, _), members in together.items():
        first = members[0]
        beside = published[first.dataset.upper()] if first.is_on_paper_split else []
        remarks = [f"{run.name}: {run.cost}" for run in members if run.cost]
        if not beside and first.dataset.upper() in published:
            remarks.append(
                f"{place} is not the paper's test split and attributes, so no published row stands beside it"
            )
        names = _unique_names(members)
        systems = [*beside, *_priors(members, names), *map(_system, members, names)]
        groups = tuple(group.name for group in first.schema.groups)
        sections.append(Section(place, groups, tuple(systems), tuple(remarks)))
    return sections


def _unique_names(runs: Sequence[RunScores]) -> list[str]:
    """Runs of one name from several roots also show their folder."""
    names = [run.name for run in runs]
    return [f"{run.name} in {run.folder}" if names.count(run.name) > 1 else run.name for run in runs]


def _system(run: RunScores, name: str) -> System:
    kind = tuple(filter(None, (run.title, run.protocol)))
    return System(name, "run", run.scores, run.weights, run.random_weights, kind, run.intervals)


def _priors(runs: Sequence[RunScores], names: Sequence[str]) -> list[System]:
    """The distinct priors: runs that held out other people for validation may have other priors."""
    systems = []
    for protocols in (tuple(THRESHOLDS), (SELECTED,)):
        owners: dict[str, list[str]] = {}
        scores: dict[str, dict[str, ProtocolScores]] = {}
        for run, name in zip(runs, names, strict=True):
            block: dict[str, ProtocolScores] = {
                protocol: run.prior[protocol] for protocol in protocols if protocol in run.prior
            }
            if block:
                figures = str({protocol: percents(one) for protocol, one in block.items()})
                owners.setdefault(figures, []).append(name)
                scores[figures] = block
        for figures, members in owners.items():
            name = "prior" if len(owners) == 1 else f"prior of {', '.join(members)}"
            systems.append(System(name, "prior", scores[figures]))
    return systems
