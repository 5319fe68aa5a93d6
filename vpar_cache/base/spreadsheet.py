"""Reads tables as spreadsheets write them: CSV with a comma, a semicolon or a tab between the cells."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from vpar_cache.base.files import read_bounded
from vpar_cache.errors import DataError

SEPARATORS = (",", ";", "\t")
_NAMED_SEPARATOR = re.compile(r"\"?sep=(?P<separator>[,;\t])\"?[,;\t]*\s*")
"""The first line that Excel writes and reads: sep=;"""


def read_rows(path: Path, max_bytes: int) -> list[tuple[int, list[str]]]:
    """Return the line number and the cells of each row in a file that is not blank, see parse_rows.

    Raises DataError also for a file that cannot be read or is larger than `max_bytes`.
    """
    return parse_rows(path, read_bounded(path, max_bytes))


def parse_rows(path: Path, data: bytes) -> list[tuple[int, list[str]]]:
    """Return the line number and the cells of each row in `data` that is not blank; the first is the header.

    The separator is that of a first line such as `sep=;`, else the one that cuts the header into most columns. A
    byte order mark is taken off. Raises DataError with file and line for what is not UTF-8 or not CSV.
    """
    try:
        text = data.decode("utf-8-sig")  # Excel writes a byte order mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} line {line}: byte {data[error.start]:#04x} is not UTF-8; save the file as CSV UTF-8"
        ) from error
    first, _, rest = text.partition("\n")
    named = _NAMED_SEPARATOR.fullmatch(first)
    if named:
        return _parsed(path, rest, named["separator"], lines_before=1)
    return _parsed(path, text, _separator_of(text), lines_before=0)


def _separator_of(text: str) -> str:
    """Return the separator that cuts the first row that is not blank into most cells."""
    header = next((line for line in text.splitlines() if line.strip()), "")

    def columns(separator: str) -> int:
        try:
            return len(next(csv.reader([header], delimiter=separator), []))
        except csv.Error:
            return 0

    return max(SEPARATORS, key=columns)  # a comma where all give one column


def _parsed(path: Path, text: str, separator: str, lines_before: int) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    try:
        # A spreadsheet writes its empty rows as separators alone.
        return [(lines_before + reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        where = f"{path} line {lines_before + reader.line_num}"
        raise DataError(f"{where} is not valid CSV ({error}); check its quotes and line ends") from error
