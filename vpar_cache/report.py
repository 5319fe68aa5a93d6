"""Tables 1 and 2 of the paper: its published rows, the prior of the split, and your runs.

A number stands beside another only if protocol, test split and attributes agree. So a protocol has columns
(Table 1) or a table (Table 2) of its own, runs on another split or schema get tables of their own, and
published rows appear beside runs on the paper's test split alone.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vpar_cache.metrics import VTF_THRESHOLD, ProtocolScores
from vpar_cache.run_scores import SELECTED, THRESHOLDS, RunScores, find_runs, read_run
from vpar_cache.tables import PROTOCOL_NOTES, Block, Notes, Table, long_rows, percent, percents

_METRICS = {"Precision": "precision", "Recall": "recall", "F1": "f1"}  # published.csv to ours
_TABLE_1 = {
    "vtf P": ("vtf", "precision"),
    "vtf R": ("vtf", "recall"),
    "vtf F1": ("vtf", "f1"),
    "videopar F1": ("videopar", "f1"),
    "videopar acc": ("videopar", "accuracy"),
}
_TABLE_2 = {
    "vtf": f"vtf, probability > {VTF_THRESHOLD}",
    "videopar": "videopar",
    SELECTED: "vtf at a threshold chosen on validation people",
}
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
_RANDOM_CAVEAT = "random weights: the encoder was not trained, so these numbers say nothing about the method."


@dataclass(frozen=True)
class System:
    """One row of Table 1: a published method, a prior or a run, with its scores by protocol."""

    name: str
    source: str
    """published, prior or run."""
    scores: Mapping[str, ProtocolScores]
    weights: str = ""
    random_weights: bool = False

    def label(self, protocol: str) -> str:
        """The name with what must be known beside each of its numbers under `protocol`."""
        details = ["random weights"] if self.random_weights else []
        if protocol == SELECTED:
            chosen = " chosen on validation people" if self.source == "run" else ""
            details.append(f"threshold {self.scores[SELECTED].threshold:g}{chosen}")
        return f"{self.name} ({', '.join(details)})" if details else self.name

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, scores in percent by protocol."""
        scores = {protocol: percents(block) for protocol, block in self.scores.items()}
        fixed = {"system": self.name, "source": self.source, "weights": self.weights}
        return {**fixed, "random_weights": self.random_weights, "scores": scores}


@dataclass(frozen=True)
class Section:
    """Systems on one split of one dataset with one schema: all that may be compared."""

    dataset: str
    groups: tuple[str, ...]
    systems: tuple[System, ...]
    remarks: tuple[str, ...] = ()

    def blocks(self) -> list[Block]:
        """Table 1, a Table 2 per protocol, and the remarks."""
        blocks: list[Block] = [self._table_1(), *filter(None, map(self._table_2, _TABLE_2))]
        return [*blocks, Notes(self.remarks)] if self.remarks else blocks

    def _table_1(self) -> Table:
        rows, sources = [], []
        for selected in (False, True):
            for system in self.systems:
                # A selected threshold changes the vtf numbers only, and never shares a row with 0.45.
                scores = {"vtf": system.scores.get(SELECTED)} if selected else system.scores
                if any(scores.get(protocol) for protocol in THRESHOLDS):
                    cells = (_average(scores.get(p), metric) for p, metric in _TABLE_1.values())
                    rows.append((system.label(SELECTED if selected else "vtf"), system.source, *cells))
                    sources.append((selected, system.source))
        rules = frozenset(i for i in range(len(rows) - 1) if sources[i] != sources[i + 1])
        title = f"Table 1. {self.dataset}: averages over {len(self.groups)} groups, in percent"
        if not self.groups:
            title = f"Table 1. {self.dataset}: averages over groups, in percent"
        return Table(title, ("System", "Source", *_TABLE_1), tuple(rows), num_labels=2, rules=rules)

    def _table_2(self, protocol: str) -> Table | None:
        """Groups as rows, systems as columns; None where no system has scores of groups."""
        columns = [s for s in self.systems if protocol in s.scores and s.scores[protocol].groups]
        if not columns:
            return None
        header = (_header(system, protocol) for system in columns)
        rows = [
            (group, *(percent(s.scores[protocol].groups.get(group, {}).get("f1")) for s in columns))
            for group in self.groups
        ]
        rows.append(("average", *(_average(s.scores[protocol], "f1") for s in columns)))
        title = f"Table 2. {self.dataset}: F1 of each group under {_TABLE_2[protocol]}, in percent"
        return Table(title, ("Group", *header), tuple(rows), rules=frozenset({len(self.groups) - 1}))


def _average(scores: ProtocolScores | None, metric: str) -> str:
    return percent(scores.average.get(metric) if scores else None)


def _header(system: System, protocol: str) -> str:
    label = system.label(protocol)
    return f"{label}, published" if system.source == "published" else label


@dataclass(frozen=True)
class Report:
    """All that the report says, independent of how it is rendered (tables.render, tables.rich_blocks)."""

    sections: tuple[Section, ...]
    footnotes: tuple[str, ...]
    notes: tuple[str, ...]
    """For the user and not part of the tables: print them to stderr."""

    def blocks(self) -> list[Block]:
        """Tables of each section, then the footnotes."""
        return [block for section in self.sections for block in section.blocks()] + [Notes(self.footnotes)]

    def long_rows(self) -> list[dict[str, str]]:
        """One row per number (tables.LONG_COLUMNS)."""
        return [
            row
            for section in self.sections
            for s in section.systems
            for row in long_rows(section.dataset, s.name, s.source, s.weights, s.scores)
        ]

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
        return {"unit": "percent", "sections": sections, "footnotes": list(self.footnotes)}


def build_report(run_folders: Sequence[Path], runs_root: Path) -> Report:
    """The tables of these runs, each a folder or the name of one under `runs_root`.

    No run given: all finished ones under `runs_root`, by dataset and name; the unfinished are in the notes.
    None there either: the published rows alone. Raises CacheError for a folder that is no finished run.
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
    return Report(tuple(sections), tuple(_footnotes(sections, runs)), tuple(notes))


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
    if any(run.random_weights for run in runs):
        footnotes.append(_RANDOM_CAVEAT)
    return footnotes


def _published() -> dict[str, list[System]]:
    """The paper's rows by dataset (MARS, DUKE), in its order."""
    values: dict[tuple[str, str, str], dict[str, dict[str, float]]] = {}
    text = (resources.files("vpar_cache") / "published.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        groups = values.setdefault((row["dataset"], row["method"], row["protocol"]), {})
        groups.setdefault(row["group"], {})[_METRICS[row["metric"]]] = float(row["value"]) / 100
    systems: dict[str, list[System]] = {}
    for (dataset, method, protocol), groups in values.items():
        average = groups.pop("average")
        scores = ProtocolScores(protocol, THRESHOLDS[protocol], groups, average)
        systems.setdefault(dataset, []).append(System(method, "published", {protocol: scores}))
    return systems


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
    return System(name, "run", run.scores, run.weights, run.random_weights)


def _priors(runs: Sequence[RunScores], names: Sequence[str]) -> list[System]:
    """The distinct priors: runs that held out other people for validation may have other priors."""
    systems = []
    for protocols in (tuple(THRESHOLDS), (SELECTED,)):
        owners: dict[str, list[str]] = {}
        scores: dict[str, dict[str, ProtocolScores]] = {}
        for run, name in zip(runs, names, strict=True):
            block = {protocol: run.prior[protocol] for protocol in protocols if protocol in run.prior}
            if block:
                figures = str({protocol: percents(one) for protocol, one in block.items()})
                owners.setdefault(figures, []).append(name)
                scores[figures] = block
        for figures, members in owners.items():
            name = "prior" if len(owners) == 1 else f"prior of {', '.join(members)}"
            systems.append(System(name, "prior", scores[figures]))
    return systems
