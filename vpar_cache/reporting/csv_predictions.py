"""Predictions and labels in a CSV file, as the columns that a Parquet file of them has.

A list is one cell, as JSON ([0.9, 0.1]), or has a column for each output of the schema: `probability NAME` and
`label NAME`. An empty label, NA, NaN and -1 mean unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.spreadsheet import read_rows
from vpar_cache.errors import DataError, count_of
from vpar_cache.runs.parquet_columns import MAX_ROWS

MAX_BYTES = 1 << 30
_PREFIXES = {"probabilities": "probability ", "labels": "label "}
_UNKNOWN = {"": None, "na": None, "n/a": None, "nan": None}
_WORDS = {"true": 1.0, "false": 0.0}


def read_csv_columns(path: Path, required: Sequence[str], optional: Sequence[str], schema: Schema) -> Any:
    """Return the arrow table of these columns. Raises DataError with line, column, value and rule."""
    rows = read_rows(path, MAX_BYTES)
    if not rows:
        raise DataError("the file is empty; its first line must name the columns")
    (_, header), *lines = rows
    if not 0 < len(lines) <= MAX_ROWS:
        raise DataError(f"{len(lines)} rows, but 1 to {MAX_ROWS} can be scored")
    places = {name.strip(): place for place, name in enumerate(header)}
    if len(places) < len(header):
        raise DataError(f"the header names a column twice: {', '.join(header[:40])}")
    for line, cells in lines:
        if len(cells) != len(header):
            raise DataError(f"line {line} has {count_of(len(cells), 'cell')}, but the header has {len(header)}")
    found = {}
    for column in [*required, *optional]:
        reader = _reader(column, places, schema)
        if reader is not None:
            found[column] = pa.array([reader(line, cells) for line, cells in lines])
        elif column in required:
            raise DataError(
                f"no column {column!r} among {', '.join(header[:40])}{_other_way(column, schema)}; add it"
            )
    return pa.table(found)


def _other_way(column: str, schema: Schema) -> str:
    """Return the name of the first column of the other spelling of a list; empty for what is no list."""
    prefix = _PREFIXES.get(column)
    return f" nor {prefix + schema.outputs[0].name!r}" if prefix else ""


def _reader(column: str, places: Mapping[str, int], schema: Schema) -> Any:
    """Return what gives a column's value from a line's number and cells; None where there is no such column."""
    place = places.get(column)
    if column not in _PREFIXES:
        if place is None:
            return None
        if column == "person_id":
            return lambda line, cells: _integer(cells[place], f"line {line}, column {column!r}")
        return lambda line, cells: cells[place].strip() or None
    if place is not None:
        return lambda line, cells: _list(cells[place], f"line {line}, column {column!r}")
    names = [_PREFIXES[column] + output.name for output in schema.outputs]
    missing = [name for name in names if name not in places]
    if len(missing) == len(names):
        return None
    if missing:
        raise DataError(f"{len(missing)} of {len(names)} columns are missing, first {missing[0]!r}; add them")
    return lambda line, cells: [_number(cells[places[name]], f"line {line}, column {name!r}") for name in names]


def _list(cell: str, where: str) -> list[Any]:
    """Return the numbers of a JSON list."""
    try:
        values = json.loads(cell)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or not all(v is None or isinstance(v, int | float) for v in values):
        raise DataError(f"{where}: got {cell[:60]!r}; expected a JSON list of numbers, as in [0.9, 0.1]")
    try:
        return [None if value is None else float(value) for value in values]
    except OverflowError as error:
        raise DataError(f"{where}: got a number that is too large; expected 0 to 1") from error


def _number(cell: str, where: str) -> float | None:
    text = cell.strip().lower()
    if text in _UNKNOWN:
        return None
    try:
        return _WORDS.get(text) if text in _WORDS else float(text.replace(",", "."))
    except ValueError as error:
        raise DataError(f"{where}: got {cell[:60]!r}; expected a number") from error


def _integer(cell: str, where: str) -> int:
    text = cell.strip()
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise DataError(f"{where}: got {cell[:60]!r}; expected an integer. Number the people")
    return int(text)
