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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vpar_cache.errors import DataError
from vpar_cache.metrics import ProtocolScores, check_inputs, score_block
from vpar_cache.schema import Schema
from vpar_cache.tables import PROTOCOL_NOTES, Block, Notes, Table, long_rows, percent, percents

COLUMNS = ("tracklet_id", "probabilities", "labels")
MAX_ROWS = 1_000_000
"""Of a predictions file; the whole MARS test split has 8,062."""

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
        names = _tracklet_ids(table)
        probabilities = _matrix(table, "probabilities", names, schema)
        labels = _matrix(table, "labels", names, schema)
        groups = [(group.name, columns) for group, columns in schema.slices()]
        check_inputs(probabilities, labels, groups, one_class=True, names=names)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    block = score_block(probabilities, labels, groups, None)
    scores = {protocol: ProtocolScores.from_dict(one) for protocol, one in block.items()}
    return ScoreResult(path.name, schema.name, len(names), scores, tuple(notes))


def _read(path: Path) -> Any:
    """The arrow table of our columns."""
    needs = f"give a parquet file with the columns {', '.join(COLUMNS)}"
    if not path.is_file():
        raise DataError(f"no such file; {needs}")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            present = file.schema_arrow.names
            missing = [column for column in COLUMNS if column not in present]
            if missing:
                raise DataError(f"no column {missing[0]!r} among {', '.join(present) or 'none'}; {needs}")
            if file.metadata.num_rows > MAX_ROWS:  # few bytes can stand for any number of equal rows
                raise DataError(f"{file.metadata.num_rows} rows, but {MAX_ROWS} are the most; score it in parts")
            table = file.read(columns=[*COLUMNS, *(["split"] if "split" in present else [])])
            table.validate(full=True)  # text that is no UTF-8 is found here, not row by row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"unreadable as parquet ({reason}); {needs}") from error
    if table.num_rows == 0:
        raise DataError("0 rows, but scores need at least one tracklet; write the predictions again")
    return table


def _test_rows(table: Any) -> tuple[Any, list[str]]:
    """The rows to score, and what to say about them."""
    if "split" not in table.column_names:
        return table, []
    split = _texts(table, "split")
    counts = Counter(split)
    found = ", ".join(f"{count} {name}" for name, count in counts.items())
    if len(counts) == 1:
        return table, [f"all rows scored: {found}"]
    if "test" not in counts:
        raise DataError(f"split holds {found} rows, but of several splits only 'test' is scored; name it so")
    return table.filter(pa.array([name == "test" for name in split])), [f"only test rows scored, of {found}"]


def _texts(table: Any, column: str) -> list[str]:
    kind = table[column].type
    value_kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(value_kind) or pa.types.is_large_string(value_kind)):
        raise DataError(f"column {column!r} is {kind}, but must be string; convert it")
    texts: list[str | None] = table[column].to_pylist()
    if None in texts:
        raise DataError(f"row {texts.index(None)}: {column} is empty, but every row must have one; fill it in")
    return [text for text in texts if text is not None]


def _tracklet_ids(table: Any) -> list[str]:
    names = _texts(table, "tracklet_id")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"tracklet {name!r} stands there {count} times, but must once; keep one row of it")
    return names


def _matrix(table: Any, column: str, names: Sequence[str], schema: Schema) -> NDArray[np.float64]:
    """A column of lists -> (N, A); an empty element becomes NaN, which check_inputs refuses."""
    values = table[column].combine_chunks()
    kind = values.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    if not is_list or not any(check(kind.value_type) for check in numeric):
        raise DataError(f"column {column!r} is {kind}, but must be a list of numbers; convert it")
    lengths = pc.list_value_length(values).fill_null(0).to_numpy()  # (N,)
    wrong = np.flatnonzero(lengths != schema.num_outputs)
    if len(wrong):
        raise DataError(
            f"tracklet {names[wrong[0]]!r} has {lengths[wrong[0]]} {column}, but schema {schema.name} has "
            f"{schema.num_outputs} outputs; write one for each, or give the schema with --schema"
        )
    flat = values.flatten().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)  # (N * A,)
    return np.asarray(flat, np.float64).reshape(len(names), schema.num_outputs)
