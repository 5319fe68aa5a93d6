"""What every loader ends with: a fixed order, unique ids, both splits, and notes on overlap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.datasets.tracklet import (
    LeftOut,
    Split,
    Tracklet,
    build_dataset,
    list_names,
    require,
)
from vpar_cache.errors import DataError, UserError


def tracklet(tracklet_id: str, split: Split = "train", person_id: int = 1) -> Tracklet:
    labels, quality = np.zeros(43, dtype=np.uint8), np.zeros(7, dtype=np.uint8)
    return Tracklet(tracklet_id, split, person_id, 1, Path(), ("a.jpg",), labels, quality)


def test_train_comes_before_test_and_each_goes_by_id() -> None:
    found = [tracklet("a", "test", 2), tracklet("c"), tracklet("b"), tracklet("0", "test", 3)]
    left_out = [
        LeftOut("y", "test", "no frame"),
        LeftOut("z", "train", "no frame"),
        LeftOut("x", "test", "no frame"),
    ]
    dataset = build_dataset("own", MARS, found, left_out, ["a note"])
    assert [t.tracklet_id for t in dataset.tracklets] == ["b", "c", "0", "a"]
    assert [item.tracklet_id for item in dataset.left_out] == ["z", "x", "y"]
    assert dataset.notes == ("a note",)
    assert (dataset.count("train"), dataset.count("test"), dataset.num_people("test")) == (2, 2, 2)


def test_people_in_both_splits_are_noted() -> None:
    shared = [tracklet("a", "train", 7), tracklet("b", "test", 7)]
    (note,) = build_dataset("own", MARS, shared).notes
    assert note.startswith("1 people are in both train and test (first: 7)")
    assert build_dataset("own", MARS, [tracklet("a", "train", 7), tracklet("b", "test", 8)]).notes == ()


def test_an_id_given_twice_is_refused() -> None:
    twice = [tracklet("a"), tracklet("b"), tracklet("a", "test", 2)]
    with pytest.raises(DataError, match=r"own: 1 tracklet ids occur twice \(first: a\)"):
        build_dataset("own", MARS, twice)


@pytest.mark.parametrize(
    ("left_out", "notes", "message"),
    [
        ([], [], "own: no test tracklets: none is listed; train and test both need labelled tracklets"),
        ([], ["5 label rows have no tracklet"], "no test tracklets: 5 label rows have no tracklet; train"),
        ([LeftOut("b", "test", "no frame")], ["x"], r"no test tracklets: 1 were left out \(b: no frame\); train"),
    ],
)
def test_an_empty_split_is_refused_with_the_likely_cause(
    left_out: list[LeftOut], notes: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        build_dataset("own", MARS, [tracklet("a")], left_out, notes)


def test_what_is_required_is_named_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    require(tmp_path, "folder", "fix")
    require(tmp_path / "file", "file", "fix")
    with pytest.raises(DataError, match=r"no folder at .*file; get it"):
        require(tmp_path / "file", "folder", "get it")
    with pytest.raises(UserError, match=r"no file at .*none; get it"):
        require(tmp_path / "none", "file", "get it", UserError)
    with pytest.raises(DataError, match=r"cannot be read \(File name too long\); get it"):
        require(tmp_path / ("x" * 300), "file", "get it")


def test_a_listing_tells_files_from_folders(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nowhere")
    assert list_names(tmp_path, "file") == {"file", "link"}
    assert list_names(tmp_path, "folder") == {"folder"}
    assert list_names(tmp_path / "none", "file") == list_names(tmp_path / "file", "file") == set()
    with pytest.raises(DataError, match="cannot be read"):
        list_names(tmp_path / ("x" * 300), "file")
