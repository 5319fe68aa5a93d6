"""Predictions in a parquet file of anybody's making: counted before they are unpacked, checked column by column.

Every function raises DataError with the value, the rule and the mend; the caller names the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vpar_cache.errors import DataError

MAX_ROWS = 1_000_000
"""Of a predictions file; the whole MARS test split has 8,062."""


def read_columns(source: Any, required: Sequence[str], optional: Sequence[str], needs: str) -> Any:
    """The arrow table of these columns, of a path or a buffer; `needs` is the mend for what is no such file."""
    try:
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            present = file.schema_arrow.names
            missing = [column for column in required if column not in present]
            if missing:
                raise DataError(f"no column {missing[0]!r} among {', '.join(present) or 'none'}; {needs}")
            # Few bytes can stand for any number of equal rows. (What the file says of its columns is not asked:
            # pyarrow aborts the process over some damages there.)
            if file.metadata.num_rows > MAX_ROWS:
                raise DataError(f"{file.metadata.num_rows} rows, but {MAX_ROWS} are the most; score it in parts")
            table = file.read(columns=[*required, *(column for column in optional if column in present)])
            table.validate(full=True)  # text that is no UTF-8 is found here, not row by row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"unreadable as parquet ({reason}); {needs}") from error
    if table.num_rows == 0:
        raise DataError("0 rows, but scores need at least one tracklet; write the predictions again")
    return table


def texts(table: Any, column: str) -> list[str]:
    """A column of strings, none of them missing."""
    kind = table[column].type
    value_kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(value_kind) or pa.types.is_large_string(value_kind)):
        raise DataError(f"column {column!r} is {kind}, but must be string; convert it")
    found: list[str | None] = table[column].to_pylist()
    if None in found:
        raise DataError(f"row {found.index(None)}: {column} is empty, but every row must have one; fill it in")
    return [text for text in found if text is not None]


def tracklet_ids(table: Any) -> list[str]:
    """The column tracklet_id, each once."""
    names = texts(table, "tracklet_id")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"tracklet {name!r} stands there {count} times, but must once; keep one row of it")
    return names


def whole_numbers(table: Any, column: str, names: Sequence[str]) -> NDArray[np.int64]:
    """A column of integers -> (N,), none of them missing; `names` are the tracklets, for the message."""
    values = table[column].combine_chunks()
    if not pa.types.is_integer(values.type) or values.type == pa.uint64():
        raise DataError(f"column {column!r} is {values.type}, but must be whole numbers (int32); convert it")
    if values.null_count:
        row = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(f"tracklet {names[row]!r}: {column} is empty, but every row must have one; fill it in")
    return np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)


def matrix(
    table: Any, column: str, names: Sequence[str], width: int, rule: str, dtype: Any = np.float64
) -> NDArray[Any]:
    """A column of lists -> (N, width) of floats; an empty element becomes NaN, which check_inputs refuses.

    `rule` ends the message about a list of another length.
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
