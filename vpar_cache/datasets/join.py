"""Joins label rows to tracks by (person, camera, tracklet), for MARS and DUKE."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vpar_cache.attributes.schema import Schema
from vpar_cache.datasets.labels import KeyColumn, LabelRow, read_labels
from vpar_cache.datasets.tracklet import Split, Tracklet, first_few
from vpar_cache.errors import DataError, counted

TrackKey = tuple[int, int, int]
"""(person, camera, tracklet): how label files name a tracklet."""

_TRACK_COLUMNS = (
    KeyColumn("person_id"),
    KeyColumn("camera_id"),
    KeyColumn("tracklets_id", ("tracklet_id",)),
)


@dataclass(frozen=True, eq=False)
class Track:
    """A tracklet of MARS or DUKE before its labels are known."""

    key: TrackKey
    split: Split
    folder: Path
    frames: tuple[str, ...]


@dataclass(frozen=True)
class TrackLabels:
    """Label rows by tracklet, and what the user should know about the file."""

    rows: dict[TrackKey, LabelRow]
    notes: tuple[str, ...]


def track_name(key: TrackKey) -> str:
    """Return the tracklet id as in the frame names of MARS: 0001C1T0001."""
    person, camera, tracklet = key
    return f"{person:04d}C{camera}T{tracklet:04d}"


def read_track_labels(path: Path, schema: Schema) -> TrackLabels:
    """Return the rows of a label file with the columns person_id, camera_id and tracklets_id.

    Raises DataError for a tracklet that is labelled twice.
    """
    file = read_labels(path, schema, _TRACK_COLUMNS)
    rows: dict[TrackKey, LabelRow] = {}
    for row in file.rows:
        key = (row.integer("person_id"), row.integer("camera_id"), row.integer("tracklets_id"))
        if key in rows:
            first = rows[key].line
            raise DataError(
                f"{path} line {row.line}: {track_name(key)} is also labelled at line {first}; keep one"
            )
        rows[key] = row
    return TrackLabels(rows, file.notes)


def join_labels(tracks: Iterable[Track], labels: TrackLabels) -> tuple[list[Tracklet], list[str]]:
    """Return the tracks that have labels, and notes on rows without a track and tracks without a row."""
    tracklets: list[Tracklet] = []
    unlabelled: list[str] = []
    used: set[TrackKey] = set()
    for track in tracks:
        row = labels.rows.get(track.key)
        if row is None:
            unlabelled.append(track_name(track.key))
            continue
        used.add(track.key)
        person, camera, _ = track.key
        tracklets.append(
            Tracklet(
                tracklet_id=track_name(track.key),
                split=track.split,
                person_id=person,
                camera_id=camera,
                folder=track.folder,
                frames=track.frames,
                labels=row.labels,
                quality=row.quality,
                known=row.known,
            )
        )
    unmatched = [track_name(key) for key in sorted(labels.rows.keys() - used)]
    notes = list(labels.notes)
    if unmatched:
        have = counted(len(unmatched), "label row has", "label rows have")
        notes.append(f"{have} no tracklet ({first_few(unmatched)}): not used")
    if unlabelled:
        have = counted(len(unlabelled), "tracklet has", "tracklets have")
        notes.append(f"{have} no label row ({first_few(unlabelled)}): not used")
    return tracklets, notes
