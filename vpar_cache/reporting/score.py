"""Both protocols on anybody's predictions: a parquet file in, scores out.

Columns: `tracklet_id` (string), `probabilities` (list of numbers in 0 to 1), `labels` (list of 0 and 1), both
lists in the schema's output order; optionally `split` (string).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from vpar_cache.attributes.schema import Schema
from vpar_cache.errors import DataError
from vpar_cache.metrics.inputs import check_inputs
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.scoring import score_all
from vpar_cache.rendering.tables import PROTOCOL_NOTES, Block, Notes, Table, long_rows, percent, percents
from vpar_cache.runs.parquet_columns import matrix, read_columns, texts, tracklet_ids

COLUMNS = ("tracklet_id", "probabilities", "labels")

_TITLES = {
    "vtf P": ("vtf", "precision"),
    "vtf R": ("vtf", "recall"),
    "vtf F1": ("vtf", "f1"),
    "vtf F1 of means": ("vtf", "f1_of_means"),
    "vtf mA": ("vtf", "mA"),
    "videopar F1": ("videopar", "f1"),
    "videopar acc": ("videopar", "accuracy"),
}
_NOTES = (
    *PROTOCOL_NOTES,
    "F1 of means: the harmonic mean of the P and R beside it. mA: (TPR + TNR) / 2, averaged over the group's "
    "outputs.",
)


@dataclass(frozen=True)
class ScoreResult:
    """Scores of one file by protocol (vtf, videopar), independent of how they are rendered (tables)."""

    file: str
    schema: str
    num_tracklets: int
    scores: Mapping[str, ProtocolScores]
    notes: tuple[str, ...]
    """For the user and not part of the table: print them to stderr."""

    def blocks(self) -> list[Block]:
        """One table, groups as rows and the average last, with the meaning of its columns."""
        groups = [(name, {p: s.groups[name] for p, s in self.scores.items()}) for name in self._groups]
        groups.append(("average", {p: s.average for p, s in self.scores.items()}))
        rows = tuple(
            (name, *(percent(metrics[protocol][metric]) for protocol, metric in _TITLES.values()))
            for name, metrics in groups
        )
        title = f"{self.file}: {self.num_tracklets} tracklets, schema {self.schema}, in percent"
        rules = frozenset({len(rows) - 2})
        return [Table(title, ("Group", *_TITLES), rows, rules=rules), Notes(_NOTES)]

    @property
    def _groups(self) -> Sequence[str]:
        return list(self.scores["vtf"].groups)

    def long_rows(self) -> list[dict[str, str]]:
        """One row per number (tables.LONG_COLUMNS)."""
        return list(long_rows(self.schema, self.file, "predictions", "", self.scores))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "unit": "percent",
            "file": self.file,
            "schema": self.schema,
            "num_tracklets": self.num_tracklets,
            "scores": {protocol: percents(scores) for protocol, scores in self.scores.items()},
        }


def score_predictions(path: Path, schema: Schema) -> ScoreResult:
    """Both protocols on the predictions in a parquet file; of several splits, on the test rows alone.

    Raises DataError that names the file, the first bad tracklet, the rule and the mend.
    """
    try:
        table, notes = _test_rows(_read(path))
        names = tracklet_ids(table)
        rule = (
            f"schema {schema.name} has {schema.num_outputs} outputs; write one for each, or give the schema "
            "with --schema"
        )
        probabilities, labels = (
            matrix(table, column, names, schema.num_outputs, rule) for column in ("probabilities", "labels")
        )
        groups = [(group.name, columns) for group, columns in schema.slices()]
        check_inputs(probabilities, labels, groups, one_class=True, names=names)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    scores = score_all(probabilities, labels, groups)
    return ScoreResult(path.name, schema.name, len(names), scores, tuple(notes))


def _read(path: Path) -> Any:
    """The arrow table of our columns."""
    needs = f"give a parquet file with the columns {', '.join(COLUMNS)}"
    if not path.is_file():
        raise DataError(f"no such file; {needs}")
    return read_columns(path, COLUMNS, ["split"], needs)


def _test_rows(table: Any) -> tuple[Any, list[str]]:
    """The rows to score, and what to say about them."""
    if "split" not in table.column_names:
        return table, []
    split = texts(table, "split")
    counts = Counter(split)
    found = ", ".join(f"{count} {name}" for name, count in counts.items())
    if len(counts) == 1:
        return table, [f"all rows scored: {found}"]
    if "test" not in counts:
        raise DataError(f"split holds {found} rows, but of several splits only 'test' is scored; name it so")
    return table.filter(pa.array([name == "test" for name in split])), [f"only test rows scored, of {found}"]
