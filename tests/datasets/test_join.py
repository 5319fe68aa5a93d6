"""The join of label rows to tracks by (person, camera, tracklet)."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.schema import Group, Output, Schema
from vpar_cache.datasets.join import Track, join_labels, read_track_labels, track_name
from vpar_cache.errors import DataError

HAT = Schema("hat", (Group("hat", (Output("hat", "a hat"),), ("hat",), "no hat"),))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("name", "schema", "rows"), [("mars", MARS, 16360), ("duke", DUKE, 4832)])
def test_the_real_label_files_are_read_whole(real_data: Path, name: str, schema: Schema, rows: int) -> None:
    labels = read_track_labels(real_data / "mars_meta" / f"{name}_attributes.csv", schema)
    assert len(labels.rows) == rows
    assert labels.notes == ()
    assert all(row.known.all() for row in labels.rows.values())


def test_rows_join_by_all_three_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "person_id,camera_id,tracklet_id,hat\n0001,1,01,1\n1,1,2,0\n1,2,1,0\n2,1,1,0\n")
    labels = read_track_labels(path, HAT)
    tracks = [Track(key, "train", tmp_path, ("a.jpg",)) for key in ((1, 1, 1), (1, 2, 1), (3, 1, 1))]
    tracklets, notes = join_labels(tracks, labels)
    assert [(t.tracklet_id, t.person_id, t.camera_id, t.labels.tolist()) for t in tracklets] == [
        ("0001C1T0001", 1, 1, [1]),
        ("0001C2T0001", 1, 2, [0]),
    ]
    assert all(t.known_labels().all() for t in tracklets)
    assert notes == [
        "2 label rows have no tracklet (first: 0001C1T0002, 0002C1T0001): not used",
        "1 tracklet has no label row (first: 0003C1T0001): not used",
    ]


def test_an_unknown_label_stays_unknown(tmp_path: Path) -> None:
    labels = read_track_labels(write(tmp_path, "person_id,camera_id,tracklet_id,hat\n1,1,1,NA\n"), HAT)
    ((one,), _) = join_labels([Track((1, 1, 1), "train", tmp_path, ("a.jpg",))], labels)
    assert (one.labels.tolist(), one.known_labels().tolist()) == ([0], [False])


def test_a_tracklet_labelled_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "person_id,camera_id,tracklets_id,hat\n1,1,1,1\n2,1,1,1\n0001,01,001,1\n")
    with pytest.raises(DataError, match=r"labels\.csv line 4: 0001C1T0001 is also labelled at line 2; keep one"):
        read_track_labels(path, HAT)


@pytest.mark.parametrize("column", ["person_id", "camera_id", "tracklets_id"])
def test_each_key_column_is_needed_and_whole(tmp_path: Path, column: str) -> None:
    header = "person_id,camera_id,tracklets_id,hat"
    with pytest.raises(DataError, match=f"column '{column}' is missing"):
        read_track_labels(write(tmp_path, header.replace(column, "other") + "\n1,1,1,1\n"), HAT)
    row = ",".join("x" if name == column else "1" for name in header.split(","))
    with pytest.raises(DataError, match=f"line 2, column '{column}': 'x' is not an integer"):
        read_track_labels(write(tmp_path, f"{header}\n{row}\n"), HAT)


def test_ids_are_spelled_as_in_mars_frame_names() -> None:
    assert track_name((1, 1, 1)) == "0001C1T0001"
    assert track_name((1500, 6, 12345)) == "1500C6T12345"
