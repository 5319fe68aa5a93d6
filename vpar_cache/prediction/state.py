"""The people that are finished, in a file that survives a kill: the same command continues from there."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from blake3 import blake3

from vpar_cache.base.files import plain_failures
from vpar_cache.prediction.rows import Answer, PersonRow, Segment


class FinishedRows:
    """Rows in the order in which they were finished. A line of JSON each; the first line says of what."""

    def __init__(self, path: Path, identity: str) -> None:
        """`identity`: of run, settings and inputs. Rows of another identity are dropped."""
        self._path = path
        self.ids: set[str] = set()
        """Tracklet ids of the rows that are there."""
        with plain_failures(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._length = self._read(identity)
            with path.open("ab") as file:
                file.truncate(self._length)  # a line that was cut by a kill goes
                if not self._length:
                    file.write(_line({"identity": identity}))

    def _read(self, identity: str) -> int:
        """Take in what is there; return the length of its good part in bytes."""
        if not self._path.is_file():
            return 0
        length = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file):
                try:
                    value = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    value = None
                if not isinstance(value, dict) or (number == 0 and value.get("identity") != identity):
                    return length
                if number:
                    self.ids.add(str(value["tracklet_id"]))
                length += len(line)
        return length

    def add(self, rows: Iterable[PersonRow]) -> None:
        """Append rows, and make sure that they are on the disk."""
        with plain_failures(self._path), self._path.open("ab") as file:
            for row in rows:
                pictures = [base64.b64encode(data).decode() for data in row.thumbnails]
                file.write(_line({**asdict(row), "thumbnails": pictures}))
                self.ids.add(row.tracklet_id)
            file.flush()
            os.fsync(file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file where nobody is in it."""
        if not self.ids:
            self.remove()

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[PersonRow]:
        with plain_failures(self._path), self._path.open("rb") as file:
            next(file)
            for line in file:
                yield _row(json.loads(line))

    def remove(self) -> None:
        """Remove the file: all is written elsewhere."""
        self._path.unlink(missing_ok=True)


def stamp(path: Path) -> str:
    """Return a digest that changes with a file, or with any file in a folder: of names, sizes and times."""
    hasher = blake3()
    files = (
        [path] if path.is_file() else sorted(Path(at) / name for at, _, names in os.walk(path) for name in names)
    )
    for file in files:
        found = file.lstat() if file != path else file.stat()
        hasher.update(os.fsencode(file) + f" {found.st_size} {found.st_mtime_ns}\n".encode())
    return hasher.hexdigest()


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _row(value: dict[str, Any]) -> PersonRow:
    return PersonRow(
        **{
            **value,
            "answers": tuple(Answer(**answer) for answer in value["answers"]),
            "segments": tuple(Segment(**segment) for segment in value["segments"]),
            "probabilities": tuple(value["probabilities"]),
            "thumbnails": tuple(base64.b64decode(data) for data in value["thumbnails"]),
        }
    )
