"""The table of people: its columns, and the files that hold it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vpar_cache.base.files import atomic_path, fsync_file
from vpar_cache.errors import UserError
from vpar_cache.prediction.answers import Answering
from vpar_cache.prediction.rows import PersonRow

SUFFIXES = (".parquet", ".csv", ".jsonl")
_SEGMENT = pa.struct(
    {
        "group": pa.string(), "value": pa.string(), "probability": pa.float32(), "first_frame": pa.int32(),
        "last_frame": pa.int32(), "first_second": pa.float64(), "last_second": pa.float64(),
    }
)  # fmt: skip
_FIXED = {
    "tracklet_id": pa.string(),
    "source": pa.string(),
    "track_id": pa.int64(),
    "first_frame": pa.int32(),
    "last_frame": pa.int32(),
    "first_second": pa.float64(),
    "last_second": pa.float64(),
    "frames_used": pa.int32(),
}
_AT_ONCE = 1_000
"""Rows that are written together."""


def column_name(group: str) -> str:
    """Return the column of a group: lower case, `_` for spaces."""
    return re.sub(r"\s+", "_", group.strip().lower())


def columns(answering: Answering, mark: str, with_segments: bool = False) -> dict[str, Any]:
    """Return each column with its type. Raises UserError where two have one name."""
    found: dict[str, Any] = dict(_FIXED)
    for group in answering.schema.groups:
        for name, kind in (
            (column_name(group.name), pa.string()),
            (f"{column_name(group.name)}_probability", pa.float32()),
        ):
            if name in found or name in ("segments", "probabilities", "note"):
                raise UserError(f"group {group.name!r}: its column {name} is there already; hide it with --hide")
            found[name] = kind
    if with_segments:
        found["segments"] = pa.list_(_SEGMENT)
    if mark:
        found["note"] = pa.string()
    return {**found, "probabilities": pa.list_(pa.float32())}


def metadata(answering: Answering, mark: str, more: Mapping[str, str]) -> dict[str, str]:
    """Return what a Parquet file says of itself: schema, thresholds and `more`."""
    return {
        "vpar.schema": json.dumps(answering.schema.to_dict()),
        "vpar.thresholds": json.dumps(answering.threshold.tolist()),
        **({"vpar.note": mark} if mark else {}),
        **{f"vpar.{name}": value for name, value in more.items()},
    }


def record(row: PersonRow, mark: str, with_segments: bool = False) -> dict[str, Any]:
    """Return the cells of a row by the names of their columns."""
    cells: dict[str, Any] = {name: getattr(row, name) for name in _FIXED}
    for answer in row.answers:
        cells[column_name(answer.group)] = answer.value
        cells[f"{column_name(answer.group)}_probability"] = round(answer.probability, 6)
    if with_segments:
        cells["segments"] = [asdict(segment) for segment in row.segments]
    if mark:
        cells["note"] = mark
    return {**cells, "probabilities": list(row.probabilities)}


def make_table(
    answering: Answering, rows: Sequence[PersonRow], probabilities: NDArray[np.float32], mark: str
) -> pa.Table:
    """Return the table of rows without answers, which follow from `probabilities` (B, A shown)."""
    schema = pa.schema(columns(answering, mark), metadata(answering, mark, {}))
    answered = [
        {**record(row, mark), **_answers(answering, found)} for row, found in zip(rows, probabilities, strict=True)
    ]
    return pa.Table.from_pylist(answered, schema=schema)


def _answers(answering: Answering, found: NDArray[np.float32]) -> dict[str, Any]:
    cells: dict[str, Any] = {"probabilities": found.tolist()}
    for answer in answering.answer(found):
        cells[column_name(answer.group)] = answer.value
        cells[f"{column_name(answer.group)}_probability"] = answer.probability
    return cells


class TableWriter:
    """Writes rows as they come: a batch is in memory, never the table."""

    def __init__(
        self, answering: Answering, mark: str, with_segments: bool = False, more: Mapping[str, str] | None = None
    ) -> None:
        """`more`: further metadata of a Parquet file."""
        self._columns = columns(answering, mark, with_segments)
        self._metadata = metadata(answering, mark, more or {})
        self._mark, self._with_segments = mark, with_segments

    def write(self, rows: Iterable[PersonRow], out: Path) -> None:
        """Publish a file: its ending says the format."""
        with atomic_path(out) as partial:
            if out.suffix == ".parquet":
                self._write_parquet(rows, partial)
            else:
                with partial.open("w", encoding="utf-8", newline="") as file:
                    self.write_text(rows, file, "csv" if out.suffix == ".csv" else "jsonl")
            fsync_file(partial)

    def write_text(self, rows: Iterable[PersonRow], file: TextIO, kind: str) -> None:
        """Write lines of CSV with a header, or JSON lines."""
        if kind == "csv":
            names = [name for name in self._columns if name != "probabilities"]
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
        for cells in self._records(rows):
            if kind == "csv":
                writer.writerow([_csv_cell(cells[name]) for name in names])
            else:
                file.write(json.dumps(cells, ensure_ascii=False) + "\n")

    def _write_parquet(self, rows: Iterable[PersonRow], path: Path) -> None:
        schema = pa.schema(self._columns, self._metadata)
        with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
            batch: list[dict[str, Any]] = []
            for cells in self._records(rows):
                batch.append(cells)
                if len(batch) == _AT_ONCE:
                    writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                    batch = []
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))

    def _records(self, rows: Iterable[PersonRow]) -> Iterator[dict[str, Any]]:
        return (record(row, self._mark, self._with_segments) for row in rows)


def _csv_cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else "" if value is None else value


def as_text(writer: TableWriter, rows: Iterable[PersonRow], kind: str) -> str:
    """Return the lines of a table."""
    file = io.StringIO()
    writer.write_text(rows, file, kind)
    return file.getvalue()
