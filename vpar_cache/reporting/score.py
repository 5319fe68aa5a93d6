"""Scores of the predictions of any program, under both protocols: a parquet file in, scores out.

Columns: `tracklet_id` (string), `probabilities` (list of numbers in 0 to 1), `labels` (list of 0 and 1), both
lists in the schema's output order; optionally `split` (string).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from vpar_cache.attributes.schema import Schema
from vpar_cache.errors import DataError
from vpar_cache.metrics.inputs import check_inputs
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.scoring import score_all
from vpar_cache.rendering.tables import PROTOCOL_NOTES, Column, Notes, Part, metric_table
from vpar_cache.reporting.numbers import AVERAGES, score_numbers
from vpar_cache.runs.parquet_columns import matrix, read_columns, texts, tracklet_ids

COLUMNS = ("tracklet_id", "probabilities", "labels")

_COLUMNS = (
    Column("vtf P", "precision", "vtf"),
    Column("vtf R", "recall", "vtf"),
    Column("vtf F1", "f1", "vtf"),
    Column("vtf F1 of means", "f1_of_means", "vtf"),
    Column("vtf mA", "mA", "vtf"),
    Column("videopar F1", "f1", "videopar"),
    Column("videopar acc", "accuracy", "videopar"),
)
_NOTES = (
    *PROTOCOL_NOTES,
    "F1 of means: the harmonic mean of the P and R beside it. mA: (TPR + TNR) / 2, averaged over the group's "
    "outputs.",
)


@dataclass(frozen=True)
class ScoreResult:
    """Scores of one file by protocol (vtf, videopar), independent of how they are rendered (rendering.formats)."""

    file: str
    schema: str
    num_tracklets: int
    scores: Mapping[str, ProtocolScores]
    notes: tuple[str, ...]
    """For the user and not part of the table: print them to stderr."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """One table, groups as rows and the average last, with the meaning of its columns."""
        numbers = score_numbers(
            self.scores,
            dataset=self.schema,
            split="",
            system=self.file,
            source="predictions",
            n=self.num_tracklets,
        )
        rows = sorted(numbers, key=lambda number: number.table == AVERAGES)
        title = f"{self.file}: {self.num_tracklets} tracklets, schema {self.schema}, in percent"
        table = metric_table(title, "Group", rows, _COLUMNS, last_is_average=True)
        return (Part(self.file, tuple(rows), (table, Notes(_NOTES))),)


def score(path: str | os.PathLike[str], schema: Schema) -> ScoreResult:
    """Return the scores of the predictions in a parquet file; of several splits, of the test rows alone.

    Raises DataError that names the file, the first bad tracklet, the rule and how to fix it.
    """
    path = Path(path)
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
        groups = schema.named_slices()
        check_inputs(probabilities, labels, groups, one_class=True, names=names)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    scores = score_all(probabilities, labels, groups)
    return ScoreResult(path.name, schema.name, len(names), scores, tuple(notes))


def _read(path: Path) -> Any:
    """Return the arrow table of our columns."""
    needs = f"give a parquet file with the columns {', '.join(COLUMNS)}"
    if not path.is_file():
        raise DataError(f"no such file; {needs}")
    return read_columns(path, COLUMNS, ["split"], needs)


def _test_rows(table: Any) -> tuple[Any, list[str]]:
    """Return the rows to score, and what to say about them."""
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
