"""Label files: a CSV with one row a tracklet and one column a group.

Columns are found by name, in any order; names are compared without case, spaces, underscores and hyphens,
because the copies in circulation differ. Other columns are passed over. A label file is not trusted: its
size, lines, rows and columns are bounded, and each value that is used is checked against the schema.

Everything here raises DataError with the file, the line, the column, the value and the rule.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema, describe_values
from vpar_cache.errors import DataError

# Bounds on a hostile file; the largest known one, MARS, has 0.9 MB, 24 columns and 16,360 rows.
MAX_FILE_BYTES = 64_000_000
MAX_LINE_BYTES = 1_000_000
MAX_COLUMNS = 1_000
MAX_ROWS = 1_000_000

_INTEGER = re.compile(r"-?[0-9]{1,9}")  # nine digits always fit int32, the stored type
_FLAG_VALUES = ("no", "yes")
_FLAG_SPELLINGS = {"multi-person": ("muti-person",)}  # as the released DUKE file spells it


@dataclass(frozen=True)
class KeyColumn:
    """A column that says which tracklet a row labels."""

    name: str
    spellings: tuple[str, ...] = ()
    """Accepted besides the name."""
    optional: bool = False


@dataclass(frozen=True, eq=False)
class LabelRow:
    """One checked row of a label file."""

    path: Path
    line: int
    keys: Mapping[str, str]
    """Text by key column; an optional column that the file lacks is absent."""
    labels: NDArray[np.uint8]
    """(A,) of 0 and 1, in schema order."""
    quality: NDArray[np.uint8]
    """(Q,) of 0 and 1, the schema's quality flags."""

    def error(self, key: str, rule: str) -> DataError:
        """The error for a key whose text breaks `rule`."""
        return DataError(f"{self.path} line {self.line}, column {key!r}: {_shown(self.keys[key])} {rule}")

    def is_integer(self, key: str) -> bool:
        return _INTEGER.fullmatch(self.keys[key]) is not None

    def integer(self, key: str) -> int:
        """The key's value. Anything but an integer of at most nine digits is a DataError."""
        if not self.is_integer(key):
            raise self.error(key, "is no integer of 1 to 9 digits; write one")
        return int(self.keys[key])


@dataclass(frozen=True)
class LabelFile:
    """The rows of a label file, and what the user should know about it."""

    rows: tuple[LabelRow, ...]
    notes: tuple[str, ...]


def normalise_header(header: str) -> str:
    """One form for all spellings of a column name that differ in case, spaces, underscores and hyphens."""
    return re.sub(r"[\s_-]+", "", header).casefold()


def read_labels(path: Path, schema: Schema, keys: Sequence[KeyColumn]) -> LabelFile:
    """All rows of the file. A quality flag without a column counts as 0, which a note says."""
    records = _records(path)
    _, header = next(records, (0, []))
    if not header:
        raise DataError(f"{path} is empty; its first line must name the columns")
    if len(header) > MAX_COLUMNS:
        raise DataError(f"{path} has {len(header)} columns, but {MAX_COLUMNS} is the most; remove other columns")
    columns = _Columns.find(path, header, schema, keys)
    rows: list[LabelRow] = []
    for line, fields in records:
        if len(rows) == MAX_ROWS:
            raise DataError(f"{path} line {line}: {MAX_ROWS} rows is the most; split the dataset")
        rows.append(columns.row(line, fields))
    if not rows:
        raise DataError(f"{path} has a header but no rows; add one row a tracklet")
    absent = [flag for flag, column in zip(schema.quality, columns.flags, strict=True) if column is None]
    notes = (f"{path.name} has no column for {', '.join(absent)}: counted as 0",) if absent else ()
    return LabelFile(tuple(rows), notes)


@dataclass(frozen=True)
class _Columns:
    """Where a label file keeps what."""

    path: Path
    header: list[str]
    schema: Schema
    keys: dict[str, int]
    groups: list[tuple[str, int, tuple[str, ...]]]
    """Of each group its name, its column, and the meanings of the valid values."""
    flags: list[int | None]

    @classmethod
    def find(cls, path: Path, header: list[str], schema: Schema, keys: Sequence[KeyColumn]) -> _Columns:
        known = [normalise_header(name) for name in header]

        def find(*names: str) -> int | None:
            wanted = {normalise_header(name) for name in names}
            found = [column for column, name in enumerate(known) if name in wanted]
            if len(found) > 1:
                twice = " and ".join(_shown(header[column]) for column in found[:2])
                raise DataError(f"{path}: columns {twice} both stand for {names[0]!r}; keep one")
            return found[0] if found else None

        def need(*names: str) -> int:
            column = find(*names)
            if column is None:
                raise DataError(f"{path}: column {names[0]!r} is missing{_header_mend(names, header)}")
            return column

        key_columns = {key.name: find(key.name, *key.spellings) for key in keys if key.optional}
        key_columns |= {key.name: need(key.name, *key.spellings) for key in keys if not key.optional}
        return cls(
            path,
            header,
            schema,
            {name: column for name, column in key_columns.items() if column is not None},
            [(group.name, need(*group.columns), group.value_names()) for group in schema.groups],
            [find(flag, *_FLAG_SPELLINGS.get(flag, ())) for flag in schema.quality],
        )

    def row(self, line: int, fields: list[str]) -> LabelRow:
        if len(fields) != len(self.header):
            raise DataError(
                f"{self.path} line {line} has {len(fields)} fields, but the header has {len(self.header)}; "
                "give every row one field a column"
            )
        values = {name: self._value(line, column, fields, names) for name, column, names in self.groups}
        flags = [0 if c is None else self._value(line, c, fields, _FLAG_VALUES) for c in self.flags]
        keys = {name: fields[column].strip() for name, column in self.keys.items()}
        return LabelRow(self.path, line, keys, self.schema.encode(values), np.array(flags, dtype=np.uint8))

    def _value(self, line: int, column: int, fields: list[str], names: tuple[str, ...]) -> int:
        """The label value in a cell; `names` are the meanings of the valid ones."""
        text = fields[column].strip()
        if _INTEGER.fullmatch(text) and 0 <= int(text) < len(names):
            return int(text)
        where = f"{self.path} line {line}, column {_shown(self.header[column])}"
        raise DataError(f"{where}: {_shown(text)} is no valid label; write {describe_values(names)}")


def _header_mend(names: tuple[str, ...], header: list[str]) -> str:
    accepted = f" (accepted: {', '.join(repr(name) for name in names)})"
    for separator in (";", "\t"):
        if len(header) == 1 and separator in header[0]:
            return f"{accepted}; the header seems separated by {separator!r}: separate fields with commas"
    shown = [name[:40] for name in header]
    close = [match for name in names for match in difflib.get_close_matches(name, shown, n=1)]
    if close:
        return f"{accepted}; nearest in the header is {close[0]!r}: rename it"
    return f"{accepted}; the header has {', '.join(repr(name) for name in shown[:24])}"


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of each row with its line number; blank lines are passed over."""
    reader = csv.reader(_lines(path), strict=True)
    try:
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(
            f"{path} line {reader.line_num} is no CSV ({error}); check its quotes and line ends"
        ) from error


def _lines(path: Path) -> Iterator[str]:
    """Decoded lines, bounded in length and number before anything parses them."""
    total = 0
    try:
        with path.open("rb") as file:
            # A byte more than allowed tells a line at the limit from one beyond it.
            for number, raw in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
                total += len(raw)
                if total > MAX_FILE_BYTES:
                    raise DataError(f"{path} is over {MAX_FILE_BYTES} bytes long; is this a label file?")
                yield _decoded(raw, f"{path} line {number}", first=number == 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def _decoded(raw: bytes, where: str, first: bool) -> str:
    if len(raw) > MAX_LINE_BYTES:
        raise DataError(f"{where} is over {MAX_LINE_BYTES} bytes long; is this a label file?")
    try:
        text = raw.decode("utf-8-sig" if first else "utf-8")  # Excel writes a byte order mark
    except UnicodeDecodeError as error:
        bad = raw[error.start]
        raise DataError(
            f"{where}: byte {bad:#04x} at {error.start + 1} is not UTF-8; save as CSV UTF-8"
        ) from error
    if "\0" in text:
        raise DataError(
            f"{where}: NUL at {text.index(chr(0)) + 1}; the file is damaged or not text, fetch it again"
        )
    return text


def _shown(text: str) -> str:
    """Quoted, and cut where a hostile file would flood the terminal."""
    return repr(text if len(text) <= 60 else text[:60] + "...")
