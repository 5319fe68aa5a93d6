"""Lists of images: UPAR's files as they are, own files, and paths that may lead nowhere they should."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from tests.support.image_trees import UPAR_COLUMNS, draw, write_table, write_upar
from vpar_cache.attributes.schema import Schema, choice
from vpar_cache.datasets.images.listed import load_images, phrase_of
from vpar_cache.datasets.loaders import load_dataset
from vpar_cache.errors import DataError, UserError, VparError

HEADER = ["image", "split", "person_id", "camera_id", "hat", "bag"]
ROWS = [["a/1.jpg", "train", "ann", "1", "1", "0"], ["b/2.jpg", "test", "bob", "2", "0", ""]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, row in enumerate(ROWS):
        draw(tmp_path / row[0], number)
    write_table(tmp_path / "labels.csv", HEADER, ROWS)
    return tmp_path


def test_upars_files_are_read_as_they_are(tmp_path: Path) -> None:
    root = write_upar(tmp_path, num_train=6, num_test=3)
    dataset = load_images(root)
    assert [dataset.count(split) for split in ("train", "test")] == [6, 3]
    assert [group.name for group in dataset.schema.groups] == list(UPAR_COLUMNS)
    assert [output.name for output in dataset.schema.outputs] == list(UPAR_COLUMNS)
    assert (dataset.schema.unit, dataset.people_known, dataset.left_out) == ("image", False, ())
    by_id = {tracklet.tracklet_id: tracklet for tracklet in dataset.tracklets}
    for name, split in (("train.csv", "train"), ("val_task1/val.csv", "test")):
        with (root / name).open() as file:
            for path, *labels in list(csv.reader(file))[1:]:
                assert by_id[path].split == split
                assert by_id[path].labels.tolist() == list(map(int, labels))
                assert by_id[path].folder / by_id[path].frames[0] == root / path


def test_words_of_a_prompt_come_from_the_column() -> None:
    assert phrase_of("UpperBody-Color-Black") == "upper body color black"
    assert phrase_of("LowerBody-Type-Trousers&Shorts") == "lower body type trousers and shorts"
    assert phrase_of("long_coat") == "long coat"


def test_optional_columns_are_read(root: Path) -> None:
    dataset = load_images(root)
    one, two = dataset.tracklets
    assert [(t.tracklet_id, t.split, t.person_id, t.camera_id) for t in (one, two)] == [
        ("a/1.jpg", "train", 0, 1),
        ("b/2.jpg", "test", 1, 2),
    ]
    assert dataset.people_known
    assert [output.name for output in dataset.schema.outputs] == ["hat", "bag"]
    assert (one.labels.tolist(), two.known_labels().tolist()) == ([1, 0], [True, False])


def test_files_of_train_and_test_may_be_named(root: Path) -> None:
    for name, row in (("one.csv", ROWS[0]), ("two.csv", ROWS[1])):
        write_table(root / name, ["hat", "Path", "bag"], [[row[4], row[0], row[5]]])
    dataset = load_images(root, root / "one.csv", root / "two.csv")
    assert [(t.tracklet_id, t.split) for t in dataset.tracklets] == [("a/1.jpg", "train"), ("b/2.jpg", "test")]
    assert [output.name for output in dataset.schema.outputs] == ["hat", "bag"]


def test_a_schema_names_the_columns_to_read_and_the_others_are_noted(root: Path) -> None:
    write_table(
        root / "labels.csv",
        ["file", "split", "coat", "width"],
        [["a/1.jpg", "train", 2, 64], ["b/2.jpg", "test", 0, 70]],
    )
    schema = Schema("shop", (choice("coat", "a {} coat", "no, short, long"),))
    dataset = load_images(root, schema=schema)
    assert [tracklet.labels.tolist() for tracklet in dataset.tracklets] == [[0, 0, 1], [1, 0, 0]]
    assert dataset.schema.unit == "image"
    assert any("width" in note and "not read" in note for note in dataset.notes)


def test_missing_images_are_left_out_and_named(root: Path) -> None:
    write_table(root / "labels.csv", HEADER, [*ROWS, ["b/9.jpg", "test", "cy", "1", "1", "1"]])
    (left_out,) = load_images(root).left_out
    assert (left_out.tracklet_id, left_out.split) == ("b/9.jpg", "test")
    assert "missing" in left_out.reason


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("../x.jpg", "without .."),
        ("/etc/x.jpg", "inside the root"),
        ("a\\1.jpg", "without .. or"),
        ("a/1.txt", "must end in .jpg"),
        ("", "inside the root"),
        ("a/\x071.jpg", "printable"),
        (f"{'a' * 1000}.jpg", "at most 1000"),
        ("a/1.jpg", "also in"),
        ("./a//1.jpg", "also in"),
    ],
)
def test_a_path_that_leads_elsewhere_or_twice_to_one_image_is_refused(root: Path, path: str, rule: str) -> None:
    write_table(root / "labels.csv", HEADER, [*ROWS, [path, "test", "cy", "1", "1", "1"]])
    with pytest.raises(DataError) as caught:
        load_images(root)
    message = str(caught.value)
    assert "labels.csv line 4" in message
    assert rule in message


def test_an_image_in_both_files_is_refused(root: Path) -> None:
    for name in ("one.csv", "two.csv"):
        write_table(root / name, ["image", "hat"], [["a/1.jpg", 1]])
    with pytest.raises(DataError, match=r"two\.csv line 2.*also in .*one\.csv line 2"):
        load_images(root, root / "one.csv", root / "two.csv")


def test_links_are_followed_only_where_allowed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    draw(other / "3.jpg", 3)
    (root / "c").symlink_to(other)
    (root / "a" / "4.jpg").symlink_to(other / "3.jpg")
    write_table(root / "labels.csv", HEADER, [*ROWS, ["a/4.jpg", "test", "cy", "1", "1", "1"]])
    (left_out,) = load_images(root).left_out
    assert "--follow-links" in left_out.reason
    write_table(root / "labels.csv", HEADER, [*ROWS, ["c/3.jpg", "test", "cy", "1", "1", "1"]])
    with pytest.raises(DataError, match=r"labels\.csv line 4.*outside the root.*--follow-links"):
        load_images(root)
    found = load_dataset("images", root, follow_links=other)
    assert {tracklet.tracklet_id for tracklet in found.tracklets} == {"a/1.jpg", "b/2.jpg", "c/3.jpg"}


def test_images_may_lie_in_the_root_itself(tmp_path: Path) -> None:
    draw(tmp_path / "1.jpg", 1)
    draw(tmp_path / "2.jpg", 2)
    write_table(tmp_path / "labels.csv", ["image", "split", "hat"], [["1.jpg", "train", 1], ["2.jpg", "test", 0]])
    assert len(load_dataset("images", tmp_path).tracklets) == 2


@pytest.mark.parametrize(
    ("header", "row", "parts"),
    [
        (["image", "split", "hat"], ["a/1.jpg", "train", "2"], ["line 2, column 'hat'", "'2'"]),
        (["image", "split", "hat"], ["a/1.jpg", "dev", "1"], ["line 2, column 'split'", "'dev'"]),
        (["image", "split", "hat"], ["a/1.jpg", "train"], ["line 2", "2 fields"]),
        (["image", "split"], ["a/1.jpg", "train"], ["no column of an attribute"]),
        (["image", "split", "hat", "hat"], ["a/1.jpg", "train", "1", "1"], ["several columns 'hat'"]),
        (["image", "path", "split", "hat"], ["a/1.jpg", "x", "train", "1"], ["column 'path'", "'x'"]),
    ],
)
def test_a_table_against_the_rules_is_refused(
    root: Path, header: list[str], row: list[str], parts: list[str]
) -> None:
    write_table(root / "labels.csv", header, [row])
    with pytest.raises(DataError) as caught:
        load_images(root)
    for part in parts:
        assert part in str(caught.value)


def test_files_that_do_not_fit_each_other_are_refused(root: Path) -> None:
    one = write_table(root / "one.csv", ["image", "person_id", "hat", "bag"], [["a/1.jpg", 1, 1, 0]])
    no_bag = write_table(root / "t.csv", ["image", "person_id", "hat"], [["b/2.jpg", 2, 1]])
    no_person = write_table(root / "u.csv", ["image", "hat", "bag"], [["b/2.jpg", 1, 1]])
    cases: list[tuple[Path, Path | None, type[VparError], str]] = [
        (one, None, UserError, "--test-labels: got none"),
        (root / "labels.csv", one, UserError, "--test-labels: got .* has a column split"),
        (one, root / "none.csv", UserError, "no file at .*none.csv"),
        (one, no_bag, DataError, "'bag' is missing"),
        (one, no_person, DataError, "'person_id' is missing"),
    ]
    for labels, test_labels, error, match in cases:
        with pytest.raises(error, match=match):
            load_images(root, labels, test_labels)
    os.truncate(one, 0)
    with pytest.raises(DataError, match=r"one\.csv is empty"):
        load_images(root, one)


def test_a_root_without_any_label_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file at .*labels\.csv; give the label file as --labels"):
        load_images(tmp_path)
    with pytest.raises(UserError, match="no folder at"):
        load_images(tmp_path / "none")
