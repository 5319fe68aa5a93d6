"""The check of own data: each fault is found beside all others, and sound data have none."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from vpar_cache.datasets.own.check import check_dataset
from vpar_cache.errors import UserError

SCHEMA = """
name = "shop"
[[group]]
name = "hat"
[[group]]
name = "coat"
values = ["none", "short", "long"]
"""
PEOPLE = 20


def lines(root: Path) -> list[list[str]]:
    return [line.split(",") for line in (root / "labels.csv").read_text().splitlines()]


def write(root: Path, rows: list[list[str]]) -> None:
    (root / "labels.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Sound data: a tracklet of each person, with one frame."""
    rows = [["tracklet", "split", "person_id", "hat", "coat"]]
    for number in range(PEOPLE):
        name = f"crops/{number:02d}"
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (8, 16), (number, 0, 0)).save(tmp_path / name / "000001.png")
        rows.append([name, "train" if number % 2 else "test", f"p{number}", str(number // 2 % 2), str(number % 3)])
    write(tmp_path, rows)
    (tmp_path / "schema.toml").write_text(SCHEMA)
    return tmp_path


def set_cell(line: int, column: int, text: str) -> Callable[[Path], None]:
    """Sets a cell of labels.csv: lines count from 1, columns from 0."""

    def change(root: Path) -> None:
        rows = lines(root)
        rows[line - 1][column] = text
        write(root, rows)

    return change


def set_column(column: int, text: str, split: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        rows = lines(root)
        write(root, [rows[0], *([*r[:column], text, *r[column + 1 :]] if r[1] == split else r for r in rows[1:])])

    return change


def without_column(column: int) -> Callable[[Path], None]:
    return lambda root: write(root, [[*row[:column], *row[column + 1 :]] for row in lines(root)])


def with_column(root: Path) -> None:
    write(root, [[*row, "colour" if number == 0 else "1"] for number, row in enumerate(lines(root))])


def truncate(root: Path) -> None:
    frame = root / "crops/04/000001.png"
    frame.write_bytes(frame.read_bytes()[:40])


def remove_folder(root: Path) -> None:
    (root / "crops/05/000001.png").unlink()
    (root / "crops/05").rmdir()


def add_other_file(root: Path) -> None:
    (root / "crops/06/000002.tif").write_bytes(b"II*")


def add_folder(root: Path) -> None:
    (root / "crops/late").mkdir()
    Image.new("RGB", (8, 16)).save(root / "crops/late/1.jpg")


def few_train(root: Path) -> None:
    rows = lines(root)
    write(
        root,
        [
            rows[0],
            *(row if number % 4 != 2 else [row[0], "test", *row[2:]] for number, row in enumerate(rows[1:], 1)),
        ],
    )


def unlabel(root: Path) -> None:
    for line in (4, 6):
        for column in (3, 4):
            set_cell(line, column, "")(root)


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "value out of range": (set_cell(3, 4, "3"), r"labels\.csv line 3, column 'coat': '3' .*0 = none"),
    "word as value": (set_cell(3, 3, "yes"), r"labels\.csv line 3, column 'hat': 'yes'"),
    "no split": (set_cell(2, 1, ""), r"labels\.csv line 2, column 'split': ''"),
    "unknown split": (set_cell(2, 1, "dev"), r"labels\.csv line 2, column 'split': 'dev'"),
    "no person": (set_cell(2, 2, ""), r"labels\.csv line 2, column 'person_id': ''"),
    "outside": (set_cell(2, 0, "../x"), r"labels\.csv line 2, column 'tracklet': '\.\./x'"),
    "listed twice": (set_cell(3, 0, "crops/00"), r"labels\.csv line 3, column 'tracklet': 'crops/00' .*line 2"),
    "unlabelled": (unlabel, r"labels\.csv lines 4, 6: the tracklet has no label"),
    "in both splits": (
        set_cell(3, 2, "p0"),
        r"labels\.csv line 2: person 'p0' is in test, and in train in line 3",
    ),
    "few people": (few_train, r"labels\.csv: got 5 labelled people in train; expected at least 10"),
    "constant in train": (
        set_column(3, "1", "train"),
        r"column 'hat': got 10 labels of train, all of them 1 = hat",
    ),
    "constant in test": (
        set_column(4, "0", "test"),
        r"column 'coat': got 10 labels of test, all of them 0 = none",
    ),
    "never labelled": (set_column(3, "", "train"), r"column 'hat': no tracklet of train has a label"),
    "column of no attribute": (with_column, r"labels\.csv, column 'colour': the schema has no such attribute"),
    "no column of an attribute": (without_column(3), r"labels\.csv: column 'hat' is missing"),
    "no column of people": (without_column(2), r"labels\.csv: got no column person_id"),
    "damaged frame": (truncate, r"crops/04/000001\.png: .*Save the picture again"),
    "missing folder": (remove_folder, r"labels\.csv line 7: tracklet 'crops/05': its folder is missing"),
    "other file": (add_other_file, r"1 file is not read.*crops/06/000002\.tif"),
    "folder without a row": (add_folder, r"labels\.csv: 1 folder with frames has no row \(first: 'crops/late'\)"),
    "no schema": (lambda root: (root / "schema.toml").unlink(), r"schema\.toml"),
    "invalid schema": (lambda root: (root / "schema.toml").write_text("[[group]]"), r"schema\.toml.*'name'"),
    "no labels": (lambda root: (root / "labels.csv").unlink(), r"no file at .*labels\.csv"),
}


def test_sound_data_have_no_finding(root: Path) -> None:
    checked = check_dataset(root)
    assert checked.findings == ()
    assert (checked.tracklets, checked.people, checked.frames) == (PEOPLE, PEOPLE, PEOPLE)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_with_its_place(root: Path, fault: str) -> None:
    change, expected = FAULTS[fault]
    change(root)
    findings = check_dataset(root).findings
    assert [finding for finding in findings if re.search(expected, finding)], findings
    assert len(set(findings)) == len(findings)


def test_all_faults_are_found_in_one_pass(root: Path) -> None:
    chosen = [
        "value out of range",
        "unknown split",
        "unlabelled",
        "damaged frame",
        "missing folder",
        "other file",
        "folder without a row",
    ]
    for fault in chosen:
        FAULTS[fault][0](root)
    findings = check_dataset(root).findings
    for fault in chosen:
        assert [finding for finding in findings if re.search(FAULTS[fault][1], finding)], fault


def test_a_row_whose_only_label_is_wrong_is_not_called_unlabelled_too(root: Path) -> None:
    set_cell(3, 3, "9")(root)
    set_cell(3, 4, "")(root)
    wrong, few = check_dataset(root).findings
    assert "line 3, column 'hat': '9'" in wrong
    assert "got 9 labelled people in train" in few


@pytest.mark.parametrize("fault", ["no schema", "invalid schema", "no labels", "no column of an attribute"])
def test_frames_are_checked_also_where_no_row_can_be_read(root: Path, fault: str) -> None:
    FAULTS[fault][0](root)
    truncate(root)
    findings = check_dataset(root).findings
    assert len(findings) == 2
    assert "crops/04/000001.png" in findings[1]


def test_a_link_is_read_only_into_the_folder_that_may_be_followed(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away")
    (root / "crops/04").rename(away / "04")
    (root / "crops/04").symlink_to(away / "04")
    assert [f for f in check_dataset(root).findings if "outside the root" in f]
    assert check_dataset(root, follow_links=away).findings == ()


def test_only_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder at .*vpar init"):
        check_dataset(tmp_path / "none")
