"""Your own data: whatever the label file says, it is read right or refused, and never leads out of the root."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.attributes.schema import Group, Output, Schema
from vpar_cache.datasets.folder import load_folder, read_folders, sorted_frames
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import DataError, UserError

SHOP = Schema(
    "shop",
    (
        Group("hat", (Output("hat", "a hat"),), ("hat",), "no hat"),
        Group("top", (Output("black", "black top"), Output("red", "red top")), ("top",)),
    ),
    ("occlusion",),
)
HEADER = "tracklet,split,person_id,camera_id,hat,top,occlusion"
ROWS = ("annA/seq1,train,7,2,1,0,1", "annA/seq2,train,7,3,1,1,0", "bob,test,8,2,0,1,0")


def add_frames(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("frame1.jpg", "frame2.jpg"):
        (folder / name).write_text("no decoder sees this")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "own"
    for name in ("annA/seq1", "annA/seq2", "bob"):
        add_frames(root / name)
    return root


def load(root: Path, *rows: str, header: str = HEADER) -> Dataset:
    labels = root / "labels.csv"
    labels.write_text("\n".join([header, *(rows or ROWS)]))
    return load_folder(root, labels, SHOP)


def test_a_tracklet_holds_what_its_row_and_folder_say(root: Path) -> None:
    dataset = load(root)
    assert [(t.tracklet_id, t.split, t.person_id, t.camera_id) for t in dataset.tracklets] == [
        ("annA/seq1", "train", 7, 2),
        ("annA/seq2", "train", 7, 3),
        ("bob", "test", 8, 2),
    ]
    first = dataset.tracklets[0]
    assert (first.folder, first.frames) == (root / "annA" / "seq1", ("frame1.jpg", "frame2.jpg"))
    assert (first.labels.tolist(), first.quality.tolist()) == ([1, 1, 0], [1])
    assert (dataset.name, dataset.schema, dataset.left_out, dataset.notes) == ("folder", SHOP, (), ())


def test_the_label_file_may_lie_elsewhere_and_the_root_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "l.csv").write_text("\n".join([HEADER, *ROWS]))
    assert len(load_folder(tmp_path / "link", tmp_path / "l.csv", SHOP).tracklets) == 3


def test_frames_go_in_natural_order(root: Path) -> None:
    add_frames(
        root / "cy", "f10.jpg", "f2.JPG", "f1.jpeg", "f3.png", "f4.webp", "f5.bmp", "x.txt", "f6.gif", "._f1.jpg"
    )
    (root / "cy" / "f7.jpg").mkdir()
    dataset = load(root, *ROWS, "cy,test,9,1,0,0,0")
    assert dataset.tracklets[-1].frames == ("f1.jpeg", "f2.JPG", "f3.png", "f4.webp", "f5.bmp", "f10.jpg")


@given(st.lists(st.integers(0, 10**12), unique=True), st.text("ab_- .", max_size=3))
def test_numbers_in_names_count_as_numbers(numbers: list[int], end: str) -> None:
    names = [f"seq1_f{number}{end}.jpg" for number in numbers]
    assert sorted_frames(names) == tuple(f"seq1_f{number}{end}.jpg" for number in sorted(numbers))


@pytest.mark.parametrize("text", ["bob", "./bob", "ROOT/bob/", "Bob\\seq", "../own/bob", ".", ""])
def test_a_tracklet_lies_inside_the_root(root: Path, text: str) -> None:
    row = f"{text.replace('ROOT', str(root))},test,8,2,0,1,0"
    if text in ("bob", "./bob"):
        assert load(root, *ROWS[:2], row).tracklets[-1].tracklet_id == "bob"
        return
    with pytest.raises(
        DataError, match=r"line 4, column 'tracklet': '.*' must be a folder inside the root, such as"
    ):
        load(root, *ROWS[:2], row)


def test_a_link_cannot_lead_out_of_the_root(root: Path, tmp_path: Path) -> None:
    add_frames(tmp_path / "secret" / "deep")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to("loop")
    (root / "self").symlink_to(".")
    for name in ("out", "out/deep", "self"):
        with pytest.raises(DataError, match=r"line 4, column 'tracklet': .* resolves to .*, outside the root"):
            load(root, *ROWS[:2], f"{name},test,8,2,0,1,0")
    with pytest.raises(DataError, match=r"loop cannot be read"):
        load(root, *ROWS, "loop,test,8,2,0,1,0")


@pytest.mark.parametrize("alias", ["./bob", "link"])
def test_one_folder_cannot_be_two_tracklets(root: Path, alias: str) -> None:
    (root / "link").symlink_to("bob")
    with pytest.raises(
        DataError, match=r"line 5, column 'tracklet': '.*' is also the folder of line 4; keep one row"
    ):
        load(root, *ROWS, f"{alias},train,8,2,0,1,0")


@pytest.mark.parametrize("name", ["a\x1b[31m", '"a\nb"'])
def test_an_id_is_printable_text(root: Path, name: str) -> None:
    with pytest.raises(DataError, match="must be printable text"):
        load(root, *ROWS, f"{name},test,8,2,0,1,0")


def test_folders_without_frames_are_left_out(root: Path) -> None:
    add_frames(root / "cy", "notes.txt")
    add_frames(root / "dee", "a\udcff.jpg")
    dataset = load(root, *ROWS, "cy,test,9,1,0,0,0", "dee,test,9,1,0,0,0", "eve,train,9,1,0,0,0")
    assert len(dataset.tracklets) == 3
    assert [(item.tracklet_id, item.split) for item in dataset.left_out] == [
        ("eve", "train"),
        ("cy", "test"),
        ("dee", "test"),
    ]
    assert dataset.left_out[0].reason == "its folder is missing"
    assert dataset.left_out[1].reason.startswith("its folder holds no frame (.jpg, ")
    assert ".txt 1" in dataset.left_out[1].reason
    assert dataset.left_out[2].reason == r"frame name 'a\udcff.jpg' is not printable text"


def test_people_named_by_text_are_numbered_by_first_appearance(root: Path) -> None:
    dataset = load(root, "annA/seq1,train,Ann,2,1,0,1", "bob,test,12,2,0,1,0", "annA/seq2,train,Ann,3,1,1,0")
    assert [t.person_id for t in dataset.tracklets] == [0, 0, 1]
    assert dataset.notes == ("person_id is text: 2 people, numbered by first appearance",)


def test_without_person_ids_each_tracklet_is_its_own_person(root: Path) -> None:
    rows = ("annA/seq1,train,1,0", "annA/seq2,train,1,1", "bob,test,0,1")
    dataset = load(root, *rows, header="tracklet,split,hat,top")
    assert [t.person_id for t in dataset.tracklets] == [0, 1, 2]
    assert [t.camera_id for t in dataset.tracklets] == [0, 0, 0]
    assert [t.quality.tolist() for t in dataset.tracklets] == [[0], [0], [0]]
    assert dataset.notes[0] == "labels.csv has no column for occlusion: counted as 0"
    assert dataset.notes[1].startswith("no person_id column: each tracklet counts as its own person")
    assert len(dataset.notes) == 2
    assert not dataset.people_known
    assert load(root).people_known


@pytest.mark.parametrize("split", ["Train", " TRAIN "])
def test_a_split_may_be_written_in_any_case(root: Path, split: str) -> None:
    assert load(root, ROWS[0].replace("train", split), *ROWS[1:]).count("train") == 2


@pytest.mark.parametrize("split", ["val", "Valid", "VALIDATION"])
def test_a_validation_split_is_kept_whatever_its_name(root: Path, split: str) -> None:
    add_frames(root / "cy")
    dataset = load(root, *ROWS, f"cy,{split},9,1,0,0,0")
    assert [t.split for t in dataset.tracklets] == ["train", "train", "validation", "test"]
    assert (dataset.count("validation"), dataset.notes) == (1, ())


def test_an_empty_cell_is_an_unknown_label_and_is_counted(root: Path) -> None:
    dataset = load(root, "annA/seq1,train,7,2,,0,1", "annA/seq2,train,7,3,1,NA,0", ROWS[2])
    assert [t.known_labels().tolist() for t in dataset.tracklets] == [
        [False, True, True],
        [True, False, False],
        [True, True, True],
    ]
    assert [t.labels.tolist() for t in dataset.tracklets] == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert dataset.notes == ("unknown labels of 3 tracklets: hat 1, top 1; they count in no score",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("cy,dev,9,1,0,0,0", "line 5, column 'split': 'dev' is not a split; write train, validation or test"),
        ("cy,test,,1,0,0,0", "line 5, column 'person_id': '' is empty; name the person"),
        ("cy,test,9,one,0,0,0", "line 5, column 'camera_id': 'one' is not an integer"),
    ],
)
def test_a_row_that_does_not_fit_is_named(root: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(root, *ROWS, row)


def test_a_missing_root_or_label_file_is_a_user_error(root: Path) -> None:
    with pytest.raises(
        UserError, match=r"no folder at .*none; give the folder that holds the tracklets as --root"
    ):
        load_folder(root / "none", root / "labels.csv", SHOP)
    with pytest.raises(UserError, match=r"no file at .*labels\.csv; give the label file as --labels"):
        load_folder(root, root / "labels.csv", SHOP)


def test_a_row_with_neither_a_label_nor_a_split_is_not_used_and_counted(root: Path) -> None:
    add_frames(root / "later")
    dataset = load(root, *ROWS, "later,,9,2,,,")
    assert [t.tracklet_id for t in dataset.tracklets] == ["annA/seq1", "annA/seq2", "bob"]
    assert "1 tracklet has neither a label nor a split (first: later): not used" in dataset.notes
    with pytest.raises(DataError, match=r"line 5, column 'split': ''"):
        load(root, *ROWS, "later,,9,2,1,,")


def test_what_is_wrong_with_rows_can_be_collected(root: Path) -> None:
    rows = ["annA/seq1,dev,7,2,1,0,1", "annA/seq2,train,,3,5,1,0", "bob,test,8,x,0,1,0", "../bob,test,8,1,0,1,0"]
    (root / "labels.csv").write_text("\n".join([HEADER, *rows, "short,train", "annA,train,1,1,1,1,0"]))
    errors: list[DataError] = []
    found = read_folders(root, root / "labels.csv", SHOP, report=errors.append)
    expected = (
        r"line 3, column 'hat': '5'",
        "line 6 has 2 fields",
        r"line 3, column 'person_id': ''",
        r"line 2, column 'split': 'dev'",
        r"line 4, column 'camera_id': 'x'",
        r"line 5, column 'tracklet': '\.\./bob'",
    )
    assert len(errors) == len(expected)
    for error, pattern in zip(errors, expected, strict=True):
        assert re.search(pattern, str(error))
    assert [t.tracklet_id for t in found.tracklets] == ["annA/seq2"]
    assert found.tracklets[0].known_labels().tolist() == [False, True, True]
    assert [left.tracklet_id for left in found.left_out] == ["annA"]
