"""Market-1501: labels by identity and by field name, gallery and query as one test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from tests.support.image_trees import draw, market_struct, write_market, write_market_labels
from vpar_cache.attributes.market_table import COLORS, FIELDS, MARKET
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.datasets.images.market import load_market
from vpar_cache.datasets.images.market_labels import color_fields, read_market_labels
from vpar_cache.datasets.tracklet import Tracklet
from vpar_cache.errors import DataError, UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_market(tmp_path)


def said(tracklet: Tracklet) -> set[str]:
    """The names of the outputs that are labelled 1."""
    return {output.name for output, label in zip(MARKET.outputs, tracklet.labels, strict=True) if label}


def test_each_image_is_a_tracklet_with_the_labels_of_its_identity(root: Path) -> None:
    dataset = load_market(root)
    assert [dataset.count(split) for split in ("train", "test")] == [3 * 4, 3 * 4 + 3]
    assert (dataset.name, dataset.schema, dataset.left_out, dataset.people_known) == ("market", MARKET, (), True)
    first = dataset.tracklets[0]
    assert (first.tracklet_id, first.person_id, first.camera_id) == ("0002_c1s1_000001_01", 2, 1)
    assert (first.folder, first.frames) == (root / "bounding_box_train", ("0002_c1s1_000001_01.jpg",))
    assert said(first) == {"top color black", "bottom color blue", "age young"}
    red = next(tracklet for tracklet in dataset.tracklets if tracklet.person_id == 4)
    assert said(red) == {"hat", "gender female", "top color red", "bottom color blue", "age teenager"}


def test_the_order_of_the_fields_does_not_matter(root: Path, tmp_path: Path) -> None:
    values: dict[str, Any] = {"upblue": [2, 1], "age": [4, 3], "clothes": [2, 2], "up": [1, 2]}
    for backwards in (False, True):
        train = market_struct(["0002", "0004"], values, backwards)
        write_market_labels(tmp_path, train, market_struct(["0003"], {}, not backwards))
        labels, _ = read_market_labels(tmp_path / "market_attribute.mat")
        one, two = (labels["train"][identity].labels.tolist() for identity in (2, 4))
        names = [output.name for output in MARKET.outputs]
        assert [names[i] for i, label in enumerate(one) if label] == [
            "bottom type trousers or shorts",
            "top color blue",
            "age old",
        ]
        assert [names[i] for i, label in enumerate(two) if label] == [
            "top length short",
            "bottom type trousers or shorts",
            "age adult",
        ]


def test_a_color_that_no_field_says_is_unknown_and_counted(root: Path) -> None:
    dataset = load_market(root)
    columns = {group.name: columns for group, columns in MARKET.slices()}
    none = [tracklet for tracklet in dataset.tracklets if tracklet.person_id == 6]
    assert none
    for tracklet in none:
        assert not tracklet.known_labels()[columns["top color"]].any()
        assert tracklet.known_labels()[columns["bottom color"]].all()
    assert any("no top color of 1 train and 1 test identities" in note for note in dataset.notes)


def test_distractors_and_junk_are_counted_and_other_files_named(root: Path) -> None:
    notes = load_market(root).notes
    assert any(note.startswith("1 distractor image and 1 junk image: no label") for note in notes)
    draw(root / "query" / "notes.jpg", 1)
    (root / "query" / "list.txt").touch()
    dataset = load_market(root)
    (left_out,) = dataset.left_out
    assert (left_out.tracklet_id, left_out.split) == ("query/notes.jpg", "test")
    assert "0002_c1s1_000451_03.jpg" in left_out.reason
    assert any("query/list.txt" in note for note in dataset.notes)


def test_an_image_in_gallery_and_query_counts_once(root: Path) -> None:
    name = "0003_c1s1_000001_01.jpg"
    (root / "query" / name).write_bytes((root / "bounding_box_test" / name).read_bytes())
    dataset = load_market(root)
    (found,) = [tracklet for tracklet in dataset.tracklets if tracklet.frames == (name,)]
    assert found.folder == root / "bounding_box_test"
    assert any("1 image is in bounding_box_test and in query" in note for note in dataset.notes)


def test_grouped_by_camera_each_image_of_a_person_is_a_frame(root: Path) -> None:
    dataset = load_market(root, group="camera")
    by_id = {tracklet.tracklet_id: tracklet for tracklet in dataset.tracklets}
    assert sorted(by_id)[:4] == ["0002C1", "0002C2", "0003C1", "0003C1-query"]
    assert by_id["0002C1"].frames == ("0002_c1s1_000001_01.jpg", "0002_c1s1_000002_02.jpg")
    assert by_id["0003C1-query"].folder == root / "query"
    single = load_market(root)
    frames = [frame for tracklet in dataset.tracklets for frame in tracklet.frames]
    assert sorted(frames) == sorted(tracklet.frames[0] for tracklet in single.tracklets)
    assert (single.schema.unit, dataset.schema.unit) == ("image", "tracklet")


def test_identities_without_labels_and_without_images_are_noted(root: Path) -> None:
    draw(root / "bounding_box_train" / "0100_c1s1_000001_01.jpg", 1)
    for path in (root / "bounding_box_train").glob("0002_*"):
        path.unlink()
    notes = load_market(root).notes
    assert any(
        "1 image is of identities without labels (first: 0100_c1s1_000001_01.jpg)" in note for note in notes
    )
    assert any("1 train identity has labels but no image (first: 0002)" in note for note in notes)


@pytest.mark.parametrize(
    ("field", "values", "parts"),
    [
        ("hat", [1, 3, 1], ["train.hat", "got 3", "0004", "1 to 2"]),
        ("age", [0, 1, 1], ["train.age", "got 0", "0002", "1 to 4"]),
        ("hat", [1, 1], ["train.hat", "1 x 2", "3 whole numbers"]),
        ("hat", [1, 1.5, 1], ["train.hat", "whole numbers"]),
        ("hat", [1, float("nan"), 1], ["train.hat", "whole numbers"]),
        ("upred", [2, 1, 1], ["0002", "upblack and upred", "at most one color"]),
    ],
)
def test_values_outside_the_rule_are_refused(
    root: Path, field: str, values: list[float], parts: list[str]
) -> None:
    people = ["0002", "0004", "0006"]
    train = market_struct(people, {"upblack": [2, 1, 1], field: values})  # type: ignore[dict-item]
    write_market_labels(root, train, market_struct(["0003"]))
    with pytest.raises(DataError) as caught:
        load_market(root)
    for part in ["market_attribute.mat", *parts]:
        assert part in str(caught.value)


def test_a_missing_field_and_a_wrong_identity_are_named(root: Path) -> None:
    right = market_struct(["0002"])
    for train, part in (
        ({name: value for name, value in right.items() if name != "hat"}, "no field hat"),
        (market_struct(["person"]), "got person"),
        (market_struct(["0002", "0002"]), "lists 0002 twice"),
    ):
        write_market_labels(root, train, market_struct(["0003"]))
        with pytest.raises(DataError, match=part):
            load_market(root)
    scipy.io.savemat(root / "market_attribute.mat", {"other": np.eye(2)})
    with pytest.raises(DataError, match=r"holds other, but must hold a struct market_attribute\.train"):
        load_market(root)


def test_missing_folders_and_files_say_where_they_come_from(root: Path) -> None:
    with pytest.raises(UserError, match=r"no folder at .*none; unpack Market-1501"):
        load_market(root / "none")
    (root / "query").rename(root / "queries")
    with pytest.raises(DataError, match=r"no folder at .*query; unpack Market-1501"):
        load_market(root)
    (root / "market_attribute.mat").unlink()
    with pytest.raises(DataError, match=r"get market_attribute\.mat from the authors"):
        load_market(root)


def test_groups_that_mean_the_same_as_in_mars_can_be_compared() -> None:
    """A run on MARS is scored on Market by name and phrase."""
    mars = {group.name: group for group in MARS.groups}
    same = [group.name for group in MARKET.groups if group.outputs == mars[group.name].outputs]
    assert set(same) == set(FIELDS)
    for group in MARKET.groups:
        if group.name in COLORS:
            assert {output.name for output in group.outputs} <= {o.name for o in mars[group.name].outputs}


def test_the_real_file_has_the_labels_that_scipy_reads(real_data: Path) -> None:
    path = real_data / "market_meta" / "market_attribute.mat"
    if not path.is_file():
        pytest.skip(f"no {path}")
    labels, notes = read_market_labels(path)
    assert {split: len(people) for split, people in labels.items()} == {"train": 751, "test": 750}
    assert notes == [
        "market_attribute.mat has no top color of 78 train and 69 test, no bottom color of 30 train and 44 test "
        "identities: unknown"
    ]
    names = [output.name for output in MARKET.outputs]
    held = scipy.io.loadmat(path, squeeze_me=True)["market_attribute"]
    for split, people in labels.items():
        part = held[split].item()
        field = {name: part[name].item() for name in part.dtype.names}
        for number, identity in enumerate(field["image_index"]):
            found = people[int(identity)]
            label = dict(zip(names, found.labels.tolist(), strict=True))
            assert label["hat"] == field["hat"][number] - 1
            assert label["gender female"] == field["gender"][number] - 1
            assert label["top length short"] == field["up"][number] - 1
            assert label["bottom type trousers or shorts"] == field["clothes"][number] - 1
            assert [label[f"age {age}"] for age in ("young", "teenager", "adult", "old")].index(1) == (
                field["age"][number] - 1
            )
            for group in COLORS:
                values = {name: field[own][number] - 1 for name, own in color_fields(group).items()}
                assert {value: label[f"{group} {value}"] for value in values} == values
                known = found.known[names.index(f"{group} black")]
                assert known == any(values.values())
