"""What every loader ends with: a fixed order, unique ids, both splits, and notes on overlap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

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


def tracklet(tracklet_id: str, split: Split = "train", person_id: int = 1, **changes: Any) -> Tracklet:
    labels, quality = np.zeros(43, dtype=np.uint8), np.zeros(7, dtype=np.uint8)
    return replace(Tracklet(tracklet_id, split, person_id, 1, Path(), ("a.jpg",), labels, quality), **changes)


def known_but(*groups: str) -> NDArray[np.bool_]:
    """(43,): all labels but those of these groups."""
    return MARS.known({group.name: None if group.name in groups else 0 for group in MARS.groups})


def test_train_comes_first_then_validation_then_test_and_each_goes_by_id() -> None:
    found = [tracklet("a", "test", 2), tracklet("c"), tracklet("b"), tracklet("0", "test", 3)]
    found.insert(0, tracklet("00", "validation", 4))
    left_out = [
        LeftOut("y", "test", "no frame"),
        LeftOut("z", "train", "no frame"),
        LeftOut("x", "test", "no frame"),
    ]
    dataset = build_dataset("own", MARS, found, left_out, ["a note"])
    assert [t.tracklet_id for t in dataset.tracklets] == ["b", "c", "00", "0", "a"]
    assert [item.tracklet_id for item in dataset.left_out] == ["z", "x", "y"]
    assert dataset.notes == ("a note",)
    assert (dataset.count("train"), dataset.count("test"), dataset.num_people("test")) == (2, 2, 2)


def test_people_in_two_splits_are_noted() -> None:
    shared = [tracklet("a", "train", 7), tracklet("b", "test", 7)]
    dataset = build_dataset("own", MARS, shared)
    (note,) = dataset.notes
    assert note == "1 person is in both train and test (first: 7): test scores will be too high"
    assert build_dataset("own", MARS, dataset.tracklets, notes=dataset.notes).notes == (note,)
    assert build_dataset("own", MARS, [tracklet("a", "train", 7), tracklet("b", "test", 8)]).notes == ()
    assert build_dataset("own", MARS, shared, people_known=False).notes == ()


@pytest.mark.parametrize(("person", "pair"), [(7, "train and validation"), (8, "validation and test")])
def test_people_of_validation_are_noted_as_well(person: int, pair: str) -> None:
    found = [tracklet("a", "train", 7), tracklet("b", "test", 8), tracklet("c", "validation", person)]
    (note,) = build_dataset("own", MARS, found).notes
    assert note.startswith(f"1 person is in both {pair} (first: {person}): {pair.split()[-1]} scores")


def test_unknown_labels_are_counted_by_group() -> None:
    found = [
        tracklet("a", known=known_but("hat", "pose")),
        tracklet("b", known=known_but("pose")),
        tracklet("c", "test", 2),
    ]
    (note,) = build_dataset("own", MARS, found).notes
    assert note.startswith("unknown labels of 3 tracklets: hat 1, pose 2;")


def test_a_tracklet_without_any_known_label_is_not_used() -> None:
    nothing = np.zeros(43, np.bool_)
    found = [tracklet("a"), tracklet("b", known=nothing), tracklet("c", "test", 2)]
    dataset = build_dataset("own", MARS, found)
    assert [t.tracklet_id for t in dataset.tracklets] == ["a", "c"]
    assert dataset.notes == ("1 tracklet has no known label (first: b): not used",)
    with pytest.raises(DataError, match=r"no test tracklets: 1 tracklet has no known label \(first: c\)"):
        build_dataset("own", MARS, [tracklet("a"), tracklet("c", "test", 2, known=nothing)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "val"}, "split: got 'val'; expected one of train, validation, test"),
        ({"labels": np.full(43, 2, np.uint8)}, r"labels: got \[2, 2,.*expected 43 values of 0 or 1"),
        ({"labels": np.zeros(42, np.uint8)}, "labels: got .*expected 43 values"),
        ({"quality": np.zeros(6, np.uint8)}, "quality: got .*expected 7 values"),
        ({"known": np.ones(42, np.bool_)}, "known: got .*expected 43 values"),
        ({"known": np.ones(43, np.uint8)}, "known: got uint8; expected bool"),
        ({"known": np.arange(43) != 42}, "known: got part of a group"),
        ({"labels": np.ones(43, np.uint8), "known": known_but("hat")}, "labels: got 1 where `known` is False"),
    ],
)
def test_a_tracklet_that_contradicts_the_schema_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"own: tracklet 'bad': {message}"):
        build_dataset("own", MARS, [tracklet("a"), tracklet("c", "test", 2), tracklet("bad", **changes)])


def test_an_id_given_twice_is_refused() -> None:
    twice = [tracklet("a"), tracklet("b"), tracklet("a", "test", 2)]
    with pytest.raises(DataError, match=r"own: 1 tracklet id given twice \(first: a\)"):
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
