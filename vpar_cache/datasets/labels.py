"""Label files: a CSV with one row per tracklet and one column per group.

Cells are separated by commas, semicolons or tabs, as spreadsheets write them. Columns are found by name, in any
order; names are compared without case, spaces, underscores and hyphens, because the copies in circulation differ.
Other columns are ignored. A label file is untrusted: its size is bounded, and each value that is used is checked
against the schema.

A cell that is empty, -1, NA, N/A or NaN is unknown. 1.0, 1,0, True and False, which other programs write, are read
as the integers. Case does not matter.

Everything here raises DataError with the file, the line, the column, the value and the rule.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema, describe_values
from vpar_cache.base.spreadsheet import read_rows
from vpar_cache.errors import DataError, Report, count_of, refuse

MAX_FILE_BYTES = 64_000_000
"""The largest known label file, MARS, has 0.9 MB."""

_INTEGER = re.compile(r"(-?[0-9]{1,9})(?:[.,]0+)?")  # nine digits always fit int32, the stored type
_LABEL_WORDS = {"false": "0", "true": "1", "": "-1", "na": "-1", "n/a": "-1", "nan": "-1"}
_UNKNOWN = -1
_SHOWN_MISSING = 20
_FLAG_VALUES = ("no", "yes")
_FLAG_SPELLINGS = {"multi-person": ("muti-person",)}  # as the released DUKE file spells it

_OTHER_RELEASES = {
    "mars": (
        {"tops.c", "bottoms.c", "bottoms.l", "bottoms.t"},
        "this is the label file of 2018, which has no column for pose and motion and other groups than the "
        "benchmark. Get mars_attributes.csv of Chen, Li and Wang 2019; or use this one with --dataset folder and "
        "--schema FILE that names its columns",
    )
}
"""By schema: columns, normalised, that mark another release of its label file, and what to do then."""


@dataclass(frozen=True)
class KeyColumn:
    """A column that says which tracklet a row labels."""

    name: str
    spellings: tuple[str, ...] = ()
    """Other accepted names."""
    optional: bool = False


@dataclass(frozen=True, eq=False)
class LabelRow:
    """One checked row of a label file."""

    path: Path
    line: int
    keys: Mapping[str, str]
    """Text by key column, without the optional columns that the file lacks."""
    labels: NDArray[np.uint8]
    """(A,) of 0 and 1, in schema order; 0 where unknown."""
    known: NDArray[np.bool_]
    """(A,) which labels are known."""
    quality: NDArray[np.uint8]
    """(Q,) of 0 and 1, the schema's quality flags; an unknown one is 0."""

    def error(self, key: str, rule: str) -> DataError:
        """Return the error for a key whose text breaks `rule`."""
        return DataError(f"{self.path} line {self.line}, column {key!r}: {_shown(self.keys[key])} {rule}")

    def is_integer(self, key: str) -> bool:
        """Return whether the key's value is an integer of at most nine digits."""
        return _INTEGER.fullmatch(self.keys[key]) is not None

    def integer(self, key: str) -> int:
        """Return the key's value. Raises DataError unless it is an integer of at most nine digits."""
        if not self.is_integer(key):
            raise self.error(key, "is not an integer of 1 to 9 digits")
        return int(self.keys[key].replace(",", ".").partition(".")[0])


@dataclass(frozen=True)
class LabelFile:
    """The rows of a label file, and what the user should know about it."""

    rows: tuple[LabelRow, ...]
    notes: tuple[str, ...]
    other_columns: tuple[str, ...] = ()
    """Those that nothing reads."""


def normalise_header(header: str) -> str:
    """Return a column name without case, spaces, underscores and hyphens, in Unicode's normal form."""
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFC", header)).casefold()


def read_labels(path: Path, schema: Schema, keys: Sequence[KeyColumn], report: Report = refuse) -> LabelFile:
    """Return all rows of the file. A quality flag that is unknown or has no column counts as 0: a note says so.

    What is wrong with a cell goes to `report`; where that returns, the cell is unknown. What is wrong with the
    file or its header is raised.
    """
    records = read_rows(path, MAX_FILE_BYTES)
    if not records:
        raise DataError(f"{path} is empty; its first line must name the columns")
    columns = _Columns.find(path, records[0][1], schema, keys)
    rows = [columns.row(line, fields, report) for line, fields in records[1:]]
    if not rows:
        raise DataError(f"{path} has a header but no rows; add one row per tracklet")
    absent = [flag for flag, column in zip(schema.quality, columns.flags, strict=True) if column is None]
    notes = [f"{path.name} has no column for {', '.join(absent)}: counted as 0"] if absent else []
    if columns.unknown_flags:
        counts = ", ".join(f"{flag} {count}" for flag, count in sorted(columns.unknown_flags.items()))
        notes.append(f"{path.name} has unknown quality flags ({counts}): counted as 0")
    return LabelFile(tuple(row for row in rows if row is not None), tuple(notes), columns.other)


class _HeaderSearch:
    """Finds columns in a header, and remembers all that is wrong with it."""

    def __init__(self, header: list[str]) -> None:
        self._header = header
        self._known = [normalise_header(name) for name in header]
        self._used: set[int] = set()
        self._twice: list[str] = []
        self._missing: list[tuple[str, ...]] = []

    def find(self, names: tuple[str, ...], needed: bool) -> int | None:
        """Return the column of one of these names; None where there is none."""
        wanted = {normalise_header(name) for name in names}
        found = [column for column, name in enumerate(self._known) if name in wanted]
        self._used.update(found)
        if len(found) > 1:
            both = " and ".join(_shown(self._header[column]) for column in found[:2])
            self._twice.append(f"columns {both} both mean {names[0]!r}: keep one")
        if not found and needed:
            self._missing.append(names)
        return found[0] if found else None

    def unused(self) -> tuple[str, ...]:
        """Return the named columns that were not looked for."""
        return tuple(name for i, name in enumerate(self._header) if i not in self._used and name.strip())

    def problems(self, schema: Schema) -> str:
        """Return all that is wrong and how to fix it, once every column was looked for; empty where nothing is."""
        if self._missing and schema.name in _OTHER_RELEASES:
            mark, explanation = _OTHER_RELEASES[schema.name]
            if mark <= set(self._known):
                return explanation
        free = [name[:40] for name in self.unused()[:40]]
        lines = [*self._twice]
        for names in self._missing[:_SHOWN_MISSING]:
            accepted = f" (accepted: {', '.join(map(repr, names))})" if len(names) > 1 else ""
            close = [match for name in names for match in difflib.get_close_matches(name, free, n=1)]
            hint = f": rename {close[0]!r}, the nearest free column" if close else ""
            lines.append(f"column {names[0]!r} is missing{accepted}{hint}")
        if more := len(self._missing) - _SHOWN_MISSING:
            lines += [f"{count_of(more, 'more column')} missing"] if more > 0 else []
        if self._missing:
            lines.append(f"columns that have no meaning yet: {', '.join(map(repr, free[:24])) or 'none'}")
        return "; ".join(lines)


@dataclass(frozen=True)
class _Columns:
    """The columns of a label file."""

    path: Path
    header: list[str]
    schema: Schema
    keys: dict[str, int]
    groups: list[tuple[str, int, tuple[str, ...]]]
    """Of each group its name, its column, and the meanings of the valid values."""
    flags: list[int | None]
    other: tuple[str, ...]
    unknown_flags: Counter[str] = field(default_factory=Counter)
    """Of the rows read so far, by quality flag."""

    @classmethod
    def find(cls, path: Path, header: list[str], schema: Schema, keys: Sequence[KeyColumn]) -> _Columns:
        search = _HeaderSearch(header)
        found_keys = {key.name: search.find((key.name, *key.spellings), not key.optional) for key in keys}
        groups = [(group, search.find(group.columns, True)) for group in schema.groups]
        flags = [search.find((flag, *_FLAG_SPELLINGS.get(flag, ())), False) for flag in schema.quality]
        if problems := search.problems(schema):
            raise DataError(f"{path}: {problems}")
        return cls(
            path,
            header,
            schema,
            {name: column for name, column in found_keys.items() if column is not None},
            [(group.name, column, group.value_names()) for group, column in groups if column is not None],
            flags,
            search.unused(),
        )

    def row(self, line: int, fields: list[str], report: Report) -> LabelRow | None:
        """Return a row; None where `report` was told that it has more or fewer fields than the header."""
        if len(fields) != len(self.header):
            report(
                DataError(
                    f"{self.path} line {line} has {count_of(len(fields), 'field')}, but the header has "
                    f"{len(self.header)}; give every row one field per column"
                )
            )
            return None

        def value(column: int, names: tuple[str, ...]) -> int | None:
            try:
                return self._value(line, column, fields, names)
            except DataError as error:
                report(error)
                return None

        values = {name: value(column, names) for name, column, names in self.groups}
        flags = [0 if column is None else value(column, _FLAG_VALUES) for column in self.flags]
        self.unknown_flags.update(f for f, value in zip(self.schema.quality, flags, strict=True) if value is None)
        return LabelRow(
            path=self.path,
            line=line,
            keys={name: fields[column].strip() for name, column in self.keys.items()},
            labels=self.schema.encode(values),
            known=self.schema.known(values),
            quality=np.array([value or 0 for value in flags], dtype=np.uint8),  # (Q,)
        )

    def _value(self, line: int, column: int, fields: list[str], names: tuple[str, ...]) -> int | None:
        """Return the label value in a cell, None where unknown; `names` are the meanings of the valid values."""
        text = fields[column].strip()
        match = _INTEGER.fullmatch(_LABEL_WORDS.get(text.lower(), text))
        if match and _UNKNOWN <= int(match[1]) < len(names):
            value = int(match[1])
            return None if value == _UNKNOWN else value
        where = f"{self.path} line {line}, column {_shown(self.header[column])}"
        raise DataError(
            f"{where}: {_shown(text)} is not a valid label; write {describe_values(names)}, or nothing: an empty "
            "cell is unknown"
        )


def _shown(text: str) -> str:
    """Return the text quoted, and cut where it is long."""
    return repr(text if len(text) <= 60 else text[:60] + "...")
