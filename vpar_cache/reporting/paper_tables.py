"""Tables 1 and 2 of one test split: a published method, a prior and a run are rows of the same kind.

A number stands beside another only if protocol, test split and attributes agree: report.py brings together what
may stand in one section, and here a protocol has columns (Table 1) or a table (Table 2) of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vpar_cache.metrics.intervals import Intervals
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.scoring import SELECTED, THRESHOLDS
from vpar_cache.metrics.vtf import VTF_THRESHOLD
from vpar_cache.rendering.sheets import interval_text
from vpar_cache.rendering.tables import Block, Notes, Table, percent, percents

_TABLE_1 = {
    "vtf P": ("vtf", "precision"),
    "vtf R": ("vtf", "recall"),
    "vtf F1": ("vtf", "f1"),
    "videopar F1": ("videopar", "f1"),
    "videopar acc": ("videopar", "accuracy"),
}
_INTERVAL = "vtf F1 95 %"
_TABLE_2 = {
    "vtf": f"vtf, probability > {VTF_THRESHOLD}",
    "videopar": "videopar",
    SELECTED: "vtf at a threshold chosen on validation people",
}
UNTRAINED = "zero-shot"
"""On random weights not even a training could have given it a meaning."""


@dataclass(frozen=True)
class System:
    """One row of Table 1: a published method, a prior or a run, with its scores by protocol."""

    name: str
    source: str
    """published, prior or run."""
    scores: Mapping[str, ProtocolScores]
    weights: str = ""
    random_weights: bool = False
    kind: tuple[str, ...] = ()
    """Of a run: which system it is, and how epoch and threshold were chosen."""
    intervals: Intervals | None = None

    def label(self, protocol: str) -> str:
        """The name with what must be known beside each of its numbers under `protocol`."""
        details = [*self.kind]
        if self.random_weights:
            meaningless = self.kind[:1] and self.kind[0].startswith(UNTRAINED)
            details.append("random weights: without meaning" if meaningless else "random weights")
        if protocol == SELECTED:
            chosen = " chosen on validation people" if self.source == "run" else ""
            details.append(f"threshold {self.scores[SELECTED].threshold:g}{chosen}")
        return f"{self.name} ({', '.join(details)})" if details else self.name

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % of the average F1 under vtf."""
        return self.intervals.of("vtf", None, "f1") if self.intervals else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, scores in percent by protocol."""
        scores = {protocol: percents(block) for protocol, block in self.scores.items()}
        fixed = {
            "system": self.name,
            "kind": list(self.kind),
            "source": self.source,
            "weights": self.weights,
        }
        intervals = {"intervals": self.intervals.to_dict()} if self.intervals else {}
        return {**fixed, "random_weights": self.random_weights, "scores": scores, **intervals}


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
        rows, sources, titles = [], [], list(_TABLE_1)
        if any(system.interval for system in self.systems):
            titles.insert(titles.index("vtf F1") + 1, _INTERVAL)
        for selected in (False, True):
            for system in self.systems:
                # A selected threshold changes the vtf numbers only, and never shares a row with 0.45.
                scores = {"vtf": system.scores.get(SELECTED)} if selected else system.scores
                if any(scores.get(protocol) for protocol in THRESHOLDS):
                    cells = {title: _average(scores.get(p), m) for title, (p, m) in _TABLE_1.items()}
                    cells[_INTERVAL] = interval_text(None if selected else system.interval)
                    name = system.label(SELECTED if selected else "vtf")
                    rows.append((name, system.source, *(cells[title] for title in titles)))
                    sources.append((selected, system.source))
        rules = frozenset(i for i in range(len(rows) - 1) if sources[i] != sources[i + 1])
        title = f"Table 1. {self.dataset}: averages over {len(self.groups)} groups, in percent"
        if not self.groups:
            title = f"Table 1. {self.dataset}: averages over groups, in percent"
        return Table(title, ("System", "Source", *titles), tuple(rows), num_labels=2, rules=rules)

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
