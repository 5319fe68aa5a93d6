"""Unknown labels and validation tracklets reach the cache; a dataset is checked before a frame is encoded."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.comparing import bytes_of
from vpar_cache.attributes.schema import read_schema
from vpar_cache.cache.features import open_features
from vpar_cache.datasets.folder import load_folder
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import DataError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]

LABELS = """tracklet,split,person_id,hat,coat,occlusion
0,train,a,1,,0
1,test,b,0.0,2,
2,val,c,NA,1,1
3,train,a,-1,0.0,0
4,test,d,nan,,1
"""
SCHEMA = """name = "own"
quality = ["occlusion"]
[[group]]
name = "hat"
[[group]]
name = "coat"
values = ["none", "short", "long"]
"""


@pytest.fixture
def settings(tmp_path: Path, demo_root: Path, extract_config: Make) -> ExtractConfig:
    """Five tracklets of one frame; nothing of the last is known."""
    for number, path in enumerate(sorted(demo_root.rglob("*.jpg"))[:5]):
        (tmp_path / "own" / str(number)).mkdir(parents=True)
        shutil.copy(path, tmp_path / "own" / str(number) / "a.jpg")
    (tmp_path / "own" / "labels.csv").write_text(LABELS)
    (tmp_path / "own.toml").write_text(SCHEMA)
    return extract_config(
        tmp_path / "a.h5", dataset="folder", root=tmp_path / "own", schema=str(tmp_path / "own.toml"), views=2
    )


def load(settings: ExtractConfig) -> Dataset:
    assert settings.root is not None
    return load_folder(settings.root, settings.root / "labels.csv", read_schema(Path(settings.schema)))


def test_the_cache_holds_what_is_known_and_the_third_split(settings: ExtractConfig) -> None:
    said: list[str] = []
    result = extract(settings, say=said.append)
    assert (result.num_train, result.num_validation, result.num_test) == (2, 1, 1)
    features = open_features(result.index)
    assert features.tracklet_ids == ("0", "3", "2", "1")
    assert features.splits.tolist() == ["train", "train", "validation", "test"]
    assert features.known.astype(int).tolist() == [[1, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1]]
    assert features.labels.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert features.quality.tolist() == [[0], [0], [1], [0]]
    assert features.arrays["augmented"].shape[0] == 2  # views are for train tracklets alone
    text = "\n".join(said)
    assert "2 train tracklets of 1 person, 1 validation tracklet of 1 person, 1 test tracklet of 1 person" in text
    assert "unknown labels of 4 tracklets: hat 2, coat 1" in text
    assert "unknown quality flags (occlusion 1)" in text
    assert "1 tracklet has no known label (first: 4): not used" in text


def test_what_is_unknown_of_people_is_stored(settings: ExtractConfig) -> None:
    extract(settings)
    assert open_features(settings.out).people_known
    assert settings.root is not None
    lines = [line.split(",") for line in LABELS.splitlines()]
    without = "".join(",".join([*line[:2], *line[3:]]) + "\n" for line in lines)
    (settings.root / "labels.csv").write_text(without)
    said: list[str] = []
    assert extract(settings, say=said.append).encoded == 0
    features = open_features(settings.out)
    assert (features.people_known, features.shared_people) == (False, 0)
    assert "people not known" in repr(features)
    assert "folder: 2 train tracklets, 1 validation tracklet, 1 test tracklet" in said


def test_people_of_train_and_test_are_counted(settings: ExtractConfig) -> None:
    assert settings.root is not None
    (settings.root / "labels.csv").write_text(LABELS.replace("1,test,b", "1,test,a"))
    extract(settings)
    assert open_features(settings.out).shared_people == 1


def test_a_dataset_of_the_caller_is_put_in_order(settings: ExtractConfig, tmp_path: Path) -> None:
    extract(settings)
    found = load(settings)
    mixed = dataclasses.replace(found, tracklets=found.tracklets[::-1])
    own = dataclasses.replace(settings, dataset=None, root=None, schema=None, out=tmp_path / "b" / "a.h5")
    said: list[str] = []
    extract(own, dataset=mixed, say=said.append)
    assert bytes_of(own.out) == bytes_of(settings.out)
    assert len(set(said)) == len(said)


@pytest.mark.usefixtures("no_encoding")
def test_a_dataset_of_the_caller_is_checked_before_a_frame_is_encoded(
    settings: ExtractConfig, tmp_path: Path
) -> None:
    found = load(settings)
    wrong = dataclasses.replace(found.tracklets[0], labels=np.full(4, 3, np.uint8))
    mixed = dataclasses.replace(found, tracklets=(*found.tracklets[1:], wrong))
    own = dataclasses.replace(settings, dataset=None, root=None, schema=None, out=tmp_path / "b.h5")
    with pytest.raises(DataError, match="folder: tracklet '0': labels: got"):
        extract(own, dataset=mixed)
