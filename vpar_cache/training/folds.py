"""Folds of the user's own: a CSV file that says in which fold each train person or tracklet is.

Its columns are `person_id` or `tracklet_id`, and `fold`, an integer; others are ignored. The file is untrusted:
its size is bounded, and every cell that is used is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short_repr
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from vpar_cache.base.files import read_plain
from vpar_cache.base.spreadsheet import parse_rows
from vpar_cache.cache.joined import JoinedFeatures
from vpar_cache.errors import DataError, UserError, count_of, printable

if TYPE_CHECKING:
    from vpar_cache.cache.features import Features

_MAX_BYTES = 64_000_000
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_TRACKLET, _PERSON, _FOLD = "tracklet_id", "person_id", "fold"


@dataclass(frozen=True)
class Folds:
    """The fold of each tracklet, or of each person."""

    path: Path
    digest: str
    """blake3 of the file's content, in hex."""
    column: str
    """What `fold_of` is keyed by: tracklet_id, or person_id where the file has no column tracklet_id."""
    fold_of: dict[str, int]

    def of_rows(self, features: Features, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the fold of each of the rows (n,) of a cache.

        Raises DataError for a row without a fold, and for a person in two folds.
        """
        if self.column == _PERSON and not features.people_known:
            raise DataError(
                f"--folds: got {self.path} with the column person_id; expected tracklet_id, since {features.path} "
                "does not know who is who. Name the fold of each tracklet"
            )
        self._check_ids(features, rows)
        found = np.empty(len(rows), dtype=np.int64)  # (n,)
        fold_of_person: dict[int, int] = {}
        for number, row in enumerate(rows):
            tracklet, person = features.tracklet_ids[row], int(features.person_ids[row])
            key = tracklet if self.column == _TRACKLET else str(person)
            if key not in self.fold_of:
                raise DataError(
                    f"--folds: {self.path} names no fold for {self.column} {printable(key)!r}; expected one for "
                    "every train tracklet. Add it"
                )
            found[number] = self.fold_of[key]
            if features.people_known and fold_of_person.setdefault(person, self.fold_of[key]) != found[number]:
                raise DataError(
                    f"--folds: {self.path} puts person {person} into the folds {fold_of_person[person]} and "
                    f"{found[number]}; expected one fold for each person. Put all tracklets of {person} into one"
                )
        return found

    def _check_ids(self, features: Features, rows: NDArray[np.int64]) -> None:
        """Raise DataError where an id in the file may mean several people or tracklets of several caches."""
        if not isinstance(features, JoinedFeatures) or len(features.sources) == 1:
            return
        if self.column == _PERSON and not features.same_people:
            raise DataError(
                f"--folds: got {self.path} with the column person_id; expected tracklet_id, since the people of "
                "several caches are different people. Name the fold of each tracklet, or add --same-people"
            )
        if self.column == _TRACKLET:
            ids, counts = np.unique([features.tracklet_ids[row] for row in rows], return_counts=True)  # (u,) each
            if (counts > 1).any():
                raise DataError(
                    f"--folds: got {self.path} with tracklet {printable(str(ids[counts.argmax()]))!r}, which "
                    "several of the caches have; expected ids that name one. Use the column person_id with "
                    "--same-people, or one cache"
                )


def read_folds(path: Path) -> Folds:
    """Return the folds in a CSV file. Raises UserError if it cannot be read, DataError for its content."""
    try:
        content = read_plain(path, _MAX_BYTES)
    except OSError as error:
        raise UserError(f"--folds: {path}: {error.strerror}; expected a CSV file. Give one") from error
    if len(content) > _MAX_BYTES:
        raise DataError(f"--folds: {path} has more than {_MAX_BYTES} bytes; expected a small CSV file")
    try:
        table = parse_rows(path, content)
    except DataError as error:
        raise DataError(f"--folds: {error}") from error
    header = [name.strip().lower() for name in table[0][1]] if table else []
    column = next((name for name in (_TRACKLET, _PERSON) if name in header), None)
    if column is None or _FOLD not in header:
        raise DataError(
            f"--folds: {path} has the columns {short_repr(header)}; expected tracklet_id or person_id, and fold. "
            "Name them in the first line"
        )
    fold_of: dict[str, int] = {}
    for line, row in table[1:]:
        if len(row) != len(header):
            raise DataError(
                f"--folds: {path} line {line}: got {count_of(len(row), 'cell')}; expected {len(header)}"
            )
        key = row[header.index(column)].strip()
        if column == _PERSON:
            key = str(_integer(path, line, _PERSON, key))  # 0012 is 12
        fold = _integer(path, line, _FOLD, row[header.index(_FOLD)].strip())
        if fold_of.setdefault(key, fold) != fold:
            raise DataError(
                f"--folds: {path} line {line}: {column} {printable(key[:80])!r} is in fold {fold} and in "
                f"{fold_of[key]}; expected one fold. Remove one"
            )
    return Folds(path, blake3(content).hexdigest(), column, fold_of)


def _integer(path: Path, line: int, column: str, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise DataError(
            f"--folds: {path} line {line}, column {column}: got {short_repr(text)}; expected an integer of at "
            "most nine digits"
        )
    return int(text)
