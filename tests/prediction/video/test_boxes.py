"""Box files of any tracker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vpar_cache.errors import DataError
from vpar_cache.prediction.video.boxes import overlaps, read_boxes

ROWS = [(1, 7, 10.0, 20.0, 30.0, 60.0), (2, 7, 12.0, 20.0, 30.0, 60.0), (2, 9, 100.0, 20.0, 31.0, 62.0)]


def check(path: Path) -> None:
    found = read_boxes(path)
    assert found.frame.tolist() == [1, 2, 2]
    assert found.track_id.tolist() == [7, 7, 9]
    np.testing.assert_allclose(found.ltwh, [row[2:] for row in ROWS])
    assert found.last_frames() == {7: 2, 9: 2}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", ", "])
def test_lines_of_motchallenge_with_any_separator(separator: str, tmp_path: Path) -> None:
    lines = [separator.join(map(str, (*row, 1, -1, -1, -1))) for row in reversed(ROWS)]
    check(write(tmp_path / "a.txt", "\n".join([*sorted(lines), ""])))


def test_a_header_gives_columns_by_name_in_any_order(tmp_path: Path) -> None:
    lines = ["Conf,bb_left,bb_top,bb_width,bb_height,Track ID,Frame"]
    lines += [f"0.5,{r[2]},{r[3]},{r[4]},{r[5]},{r[1]},{r[0]}" for r in ROWS]
    check(write(tmp_path / "a.csv", "\n".join(lines)))
    corners = ["frame;id;x1;y1;x2;y2"] + [f"{r[0]};{r[1]};{r[2]};{r[3]};{r[2] + r[4]};{r[3] + r[5]}" for r in ROWS]
    check(write(tmp_path / "b.csv", "\n".join(corners)))


def test_parquet_with_corners(tmp_path: Path) -> None:
    columns = {"frame_id": [r[0] for r in ROWS], "tracker_id": [r[1] for r in ROWS]}
    columns |= {"x_min": [r[2] for r in ROWS], "y_min": [r[3] for r in ROWS]}  # type: ignore[dict-item]
    columns |= {"x_max": [r[2] + r[4] for r in ROWS], "y_max": [r[3] + r[5] for r in ROWS]}  # type: ignore[dict-item]
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    check(tmp_path / "a.parquet")


def test_frames_from_0_are_counted_from_1_and_said(tmp_path: Path) -> None:
    found = read_boxes(write(tmp_path / "a.txt", "0,1,1,1,5,5\n1,1,2,2,5,5\n"))
    assert found.frame.tolist() == [1, 2]
    assert ["counted from 0" in note for note in found.notes] == [True]


def test_ground_truth_drops_what_is_no_person(tmp_path: Path) -> None:
    text = "1,1,1,1,5,9,1,1,1\n1,2,1,1,5,9,0,1,1\n1,3,1,1,5,9,1,7,1\n1,4,1,1,0,9,1,1,1\n"
    found = read_boxes(write(tmp_path / "gt.txt", text))
    assert found.track_id.tolist() == [1]
    assert len(found.notes) == 2


def test_boxes_without_ids_are_detections(tmp_path: Path) -> None:
    assert not read_boxes(write(tmp_path / "a.txt", "1,-1,1,1,5,9,0.8\n2,-1,1,1,5,9,0.7\n")).are_tracked
    found = read_boxes(write(tmp_path / "b.csv", "frame,left,top,width,height\n1,1,1,5,9\n"))
    assert not found.are_tracked


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty"),
        ("1,2,3\n", "a row has 3 values"),
        ("1,1,a,1,5,5\n", r"line 1: left is 'a'"),
        ("frame,id,left,top,width\n1,1,1,1,1\n", "no column height"),
        ("1,1,1,1,5,5\n1,1,2,2,5,5\n", "track 1 has two boxes in frame 1"),
        ("1,1,nan,1,5,5\n", r"line 1: left is 'nan'"),
        ("-3,1,1,1,5,5\n", "got frame -3"),
        ("1.5,1,1,1,5,5\n", "got frame 1.5"),
        ("1,1,1,1,0,5\n", "no box of a person"),
    ],
)
def test_a_wrong_file_is_one_line_with_the_place(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem) as error:
        read_boxes(write(tmp_path / "a.txt", text))
    assert str(tmp_path / "a.txt") in str(error.value)
    assert "\n" not in str(error.value)


def test_overlaps_are_intersection_over_union() -> None:
    one, other = np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 10, 10], [20, 20, 1, 1], [0, 0, 10, 10]])
    np.testing.assert_allclose(overlaps(one, other), [[50 / 150, 0, 1]])
