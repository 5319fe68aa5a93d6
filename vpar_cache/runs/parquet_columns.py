"""Columns of a Parquet file of predictions, which anyone may have written: its rows are counted before they are
read, and each column is checked.

Every function raises DataError with the value, the rule and how to fix it; the caller adds the file's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vpar_cache.errors import DataError
from vpar_cache.metrics.inputs import Bools

MAX_ROWS = 1_000_000
"""The whole MARS test split has 8,062."""


def read_columns(source: Any, required: Sequence[str], optional: Sequence[str], fix: str) -> Any:
    """Return the arrow table of these columns, of a path or a buffer. `fix` is what to do with any other file."""
    try:
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            present = file.schema_arrow.names
            missing = [column for column in required if column not in present]
            if missing:
                raise DataError(f"no column {missing[0]!r} among {', '.join(present) or 'none'}; {fix}")
            # A few bytes can encode any number of equal rows. (Do not read the metadata of columns here: pyarrow
            # aborts the process on some damaged files.)
            if file.metadata.num_rows > MAX_ROWS:
                raise DataError(f"{file.metadata.num_rows} rows, but {MAX_ROWS} are the most; score it in parts")
            table = file.read(columns=[*required, *(column for column in optional if column in present)])
            table.validate(full=True)  # finds invalid UTF-8
            table = _without_views(table)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"unreadable as parquet ({reason}); {fix}") from error
    if table.num_rows == 0:
        raise DataError("0 rows, but scores need at least one tracklet; write the predictions again")
    return table


def read_metadata(path: Path) -> dict[str, str]:
    """Return what a Parquet file says of itself, by name; nothing for any other file."""
    if not path.is_file():
        return {}
    try:
        found = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError):
        return {}
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in found.items()}


def _without_views(table: Any) -> Any:
    """Return the table with plain strings and lists in place of views, which polars writes."""
    for place, field in enumerate(table.schema):
        kind = field.type
        if pa.types.is_string_view(kind):
            plain = pa.large_string()
        elif pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
            plain = pa.large_list(kind.value_type)
        else:
            continue
        table = table.set_column(place, field.name, table[place].cast(plain))
    return table


def texts(table: Any, column: str) -> list[str]:
    """Return a column of strings without empty cells."""
    kind = table[column].type
    value_kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(value_kind) or pa.types.is_large_string(value_kind)):
        raise DataError(f"column {column!r} is {kind}, but must be string; convert it")
    found: list[str | None] = table[column].to_pylist()
    if None in found:
        raise DataError(f"row {found.index(None)}: {column} is empty, but every row must have one; fill it in")
    return [text for text in found if text is not None]


def tracklet_ids(table: Any) -> list[str]:
    """Return the column tracklet_id, text or integers, whose values must differ."""
    if pa.types.is_integer(table["tracklet_id"].type):
        place = table.column_names.index("tracklet_id")
        table = table.set_column(place, "tracklet_id", table["tracklet_id"].cast(pa.string()))
    names = texts(table, "tracklet_id")
    if not names:
        raise DataError("no test row; write the predictions again")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"tracklet {name!r} has {count} rows, but must have one; keep one of them")
    return names


def matrix(
    table: Any, column: str, names: Sequence[str], width: int, rule: str, dtype: Any = np.float64
) -> NDArray[Any]:
    """Return a column of lists of numbers as (N, width); an empty element becomes NaN, which check_inputs refuses.

    `names` are the N tracklets, and `rule` ends the message about a list of another length.
    """
    values = table[column].combine_chunks()
    kind = values.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    if not is_list or not any(check(kind.value_type) for check in numeric):
        raise DataError(f"column {column!r} is {kind}, but must be a list of numbers; convert it")
    lengths = pc.list_value_length(values).fill_null(0).to_numpy()  # (N,)
    wrong = np.flatnonzero(lengths != width)
    if len(wrong):
        raise DataError(f"tracklet {names[wrong[0]]!r} has {lengths[wrong[0]]} {column}, but {rule}")
    flat = values.flatten().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)  # (N * width,)
    return np.asarray(flat, dtype).reshape(len(names), width)


def label_matrix(
    table: Any, names: Sequence[str], width: int, rule: str, column: str = "labels"
) -> tuple[NDArray[np.float64], Bools]:
    """Return a column of labels (N, width), and which of them are known; an unknown one is null, NaN or -1."""
    labels = matrix(table, column, names, width, rule)  # (N, width)
    known = ~(np.isnan(labels) | (labels == -1))  # (N, width)
    return np.where(known, labels, 0), known
