"""PA-100K: names and labels of annotation.mat, and every way in which they may not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from tests.support.image_trees import cells, pa100k_labels, write_pa100k
from vpar_cache.attributes.pa100k_table import ATTRIBUTES, PA100K
from vpar_cache.datasets.images.pa100k import load_pa100k
from vpar_cache.errors import DataError, UserError


def test_outputs_are_the_files_attributes_in_their_order() -> None:
    assert (PA100K.num_outputs, len(ATTRIBUTES)) == (26, 26)
    names = [output.name for output in PA100K.outputs]
    assert names[:7] == [
        "gender female", "age over 60", "age 18 to 60", "age under 18", "view front", "view side", "view back",
    ]  # fmt: skip
    assert [group.name for group in PA100K.groups if group.is_choice] == ["age", "view"]


@pytest.mark.parametrize("folder", ["release_data/release_data", "data", "release_data", "."])
def test_images_are_found_in_every_published_layout(tmp_path: Path, folder: str) -> None:
    write_pa100k(tmp_path, folder=folder)
    (tmp_path / "data").mkdir(exist_ok=True)  # an empty folder that comes first is not taken
    dataset = load_pa100k(tmp_path)
    assert [dataset.count(split) for split in ("train", "validation", "test")] == [9, 3, 6]
    first = dataset.tracklets[0]
    assert (first.tracklet_id, first.frames, first.folder) == ("000001", ("000001.jpg",), tmp_path / folder)
    held = scipy.io.loadmat(tmp_path / "annotation.mat")
    for split, prefix in (("train", "train"), ("validation", "val"), ("test", "test")):
        labels = np.stack([tracklet.labels for tracklet in dataset.tracklets if tracklet.split == split])
        np.testing.assert_array_equal(labels, held[f"{prefix}_label"])
    assert (dataset.left_out, dataset.people_known, dataset.schema) == ((), False, PA100K)
    assert len({tracklet.person_id for tracklet in dataset.tracklets}) == 18


def test_texts_may_lie_in_cells_of_their_own(tmp_path: Path) -> None:
    names = cells([f"{number:06d}.jpg" for number in range(1, 10)], nested=True)
    write_pa100k(tmp_path, changes={"attributes": cells(ATTRIBUTES, nested=True), "train_images_name": names})
    assert load_pa100k(tmp_path).count("train") == 9


def test_attributes_in_another_order_are_read_by_name(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(26)
    labels = pa100k_labels(9)
    changes = {
        "attributes": cells([ATTRIBUTES[i] for i in order]),
        "train_label": labels[:, order],
        "val_label": pa100k_labels(3)[:, order],
        "test_label": pa100k_labels(6)[:, order],
    }
    dataset = load_pa100k(write_pa100k(tmp_path, changes=changes))
    found = np.stack([tracklet.labels for tracklet in dataset.tracklets if tracklet.split == "train"])
    np.testing.assert_array_equal(found, labels)


def test_an_age_that_is_none_or_two_is_unknown_and_counted(tmp_path: Path) -> None:
    labels = pa100k_labels(9)
    labels[0, 1:4], labels[1, 1:4] = 0, (1, 1, 0)
    dataset = load_pa100k(write_pa100k(tmp_path, changes={"train_label": labels}))
    known = np.stack([tracklet.known_labels() for tracklet in dataset.tracklets])
    assert known[:2, 1:4].sum() == 0
    assert known.sum() == known.size - 6
    assert "annotation.mat has no single age for 2 train images: unknown there" in dataset.notes


def test_missing_images_are_left_out_and_named(tmp_path: Path) -> None:
    write_pa100k(tmp_path)
    folder = tmp_path / "release_data" / "release_data"
    (folder / "000002.jpg").unlink()
    (folder / "000018.jpg").rename(folder / "000018.JPG")
    missing, renamed = load_pa100k(tmp_path).left_out
    assert (missing.tracklet_id, missing.split) == ("000002", "train")
    assert "000002.jpg" in missing.reason
    assert (renamed.tracklet_id, renamed.split) == ("000018", "test")
    assert "'000018.JPG', which differs in case" in renamed.reason


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"attributes": cells([*ATTRIBUTES[:-1], "sandals"])}, ["attributes", "'sandals'", "boots is missing"]),
        ({"attributes": cells(ATTRIBUTES[:-1])}, ["attributes", "25 names", "boots is missing"]),
        ({"attributes": cells([*ATTRIBUTES, "Hat"])}, ["attributes", "27 names"]),
        ({"attributes": None}, ["cells of texts named attributes"]),
        ({"train_label": np.zeros((9, 25))}, ["train_label", "9 x 25", "9 x 26"]),
        ({"test_label": np.zeros((5, 26))}, ["test_label", "5 x 26", "6 x 26"]),
        ({"val_label": None}, ["val_label", "no matrix"]),
        ({"train_label": np.full((9, 26), 2)}, ["train_label row 1, column 1", "got 2", "0 or 1"]),
        ({"train_label": np.full((9, 26), np.nan)}, ["train_label row 1", "got nan"]),
        ({"val_images_name": cells(["a.jpg", "../b.jpg", "c.jpg"])}, ["val_images_name row 2", "'../b.jpg'"]),
        ({"val_images_name": cells(["a.jpg", "b/c.jpg", "c.jpg"])}, ["val_images_name row 2", "'b/c.jpg'"]),
        ({"val_images_name": cells(["a.jpg", "b.txt", "c.jpg"])}, ["val_images_name row 2", "'b.txt'"]),
        ({"val_images_name": np.eye(3)}, ["cells of texts named val_images_name"]),
        ({"val_images_name": cells(["000001.jpg", "b.jpg", "c.jpg"])}, ["000001", "given twice"]),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], parts: list[str]) -> None:
    write_pa100k(tmp_path, changes=changes)
    with pytest.raises(DataError) as caught:
        load_pa100k(tmp_path)
    for part in parts:
        assert part in str(caught.value)


def test_missing_folders_and_files_say_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder at .*none; get PA-100K from its authors"):
        load_pa100k(tmp_path / "none")
    with pytest.raises(DataError, match=r"no file at .*annotation\.mat; get PA-100K"):
        load_pa100k(tmp_path)
    write_pa100k(tmp_path)
    (tmp_path / "release_data").rename(tmp_path / "images")
    with pytest.raises(DataError, match=r"has no folder data or release_data/release_data with 000001\.jpg"):
        load_pa100k(tmp_path)
