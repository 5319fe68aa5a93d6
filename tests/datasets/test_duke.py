"""DukeMTMC-VideoReID: gallery and query are one test split, and nothing is ever downloaded."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.datasets.duke import load_duke
from vpar_cache.errors import DataError, UserError

KEYS = ["person_id", "camera_id", "tracklets_id"]
ROWS = [(1, 6, 12), (1, 2, 13), (2, 5, 2197), (7140, 4, 2198)]


def add_tracklet(root: Path, part: str, person: int, camera: int, tracklet: int, frames: Sequence[int]) -> Path:
    folder = root / part / f"{person:04d}" / f"{tracklet:04d}"
    folder.mkdir(parents=True)
    for frame in frames:
        (folder / f"{person:04d}_C{camera}_F{frame:04d}_X{frame * 7:05d}.jpg").write_text("no decoder sees this")
    return folder


def write_labels(root: Path, rows: Sequence[tuple[int, int, int]] = ROWS) -> None:
    flags = [flag.replace("multi-", "muti-") for flag in DUKE.quality]  # as the released file spells it
    with (root / "duke_attributes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*KEYS, *flags, *(group.columns[-1] for group in DUKE.groups)])
        for row in rows:
            writer.writerow([*row, *[0, 0, 1, 0, 0, 0, 0], *[1] * len(DUKE.groups)])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    add_tracklet(tmp_path, "train", 1, 6, 12, (1, 2))
    add_tracklet(tmp_path, "train", 1, 2, 13, (1,))
    add_tracklet(tmp_path, "gallery", 2, 5, 2197, (3, 4))
    add_tracklet(tmp_path, "query", 2, 5, 2197, (3, 4))
    add_tracklet(tmp_path, "gallery", 7140, 4, 2198, (1,))
    write_labels(tmp_path)
    return tmp_path


def test_gallery_and_query_are_the_test_split_and_count_once(root: Path) -> None:
    dataset = load_duke(root)
    assert [(t.tracklet_id, t.split) for t in dataset.tracklets] == [
        ("0001C2T0013", "train"),
        ("0001C6T0012", "train"),
        ("0002C5T2197", "test"),
        ("7140C4T2198", "test"),
    ]
    shared = dataset.tracklets[2]
    assert (shared.person_id, shared.camera_id) == (2, 5)
    assert shared.folder == root / "gallery" / "0002" / "2197"
    assert shared.labels.sum() == len(DUKE.groups)
    assert shared.quality.tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert (dataset.name, dataset.schema, dataset.left_out, dataset.notes) == ("duke", DUKE, (), ())


def test_the_real_labels_join_a_tree_of_their_tracklets(real_data: Path, tmp_path: Path) -> None:
    """Every 40th real row, in the split that its tracklet number tells: 1 to 2196 are train."""
    text = (real_data / "mars_meta" / "duke_attributes.csv").read_text()
    (tmp_path / "duke_attributes.csv").write_text(text)
    (tmp_path / "query").mkdir()
    rows = [[int(value) for value in line.split(",")[:3]] for line in text.splitlines()[1::40]]
    for person, camera, tracklet in rows:
        add_tracklet(tmp_path, "train" if tracklet <= 2196 else "gallery", person, camera, tracklet, (1,))
    dataset = load_duke(tmp_path)
    assert len(dataset.tracklets) == len(rows) == 121
    assert dataset.left_out == ()
    assert dataset.notes[0].startswith(f"{4832 - 121} label rows have no tracklet")


def test_frames_go_by_their_number(root: Path) -> None:
    folder = add_tracklet(root, "train", 3, 1, 14, (10_000, 2_000, 2))
    write_labels(root, [*ROWS, (3, 1, 14)])
    (folder / "Thumbs.db").touch()
    (folder / "._0003_C1_F0001_X00001.jpg").touch()
    (found,) = [t for t in load_duke(root).tracklets if t.person_id == 3]
    assert [name.split("_")[2] for name in found.frames] == ["F0002", "F2000", "F10000"]


def test_files_of_other_endings_are_counted(root: Path) -> None:
    (root / "train" / "0001" / "0012" / "0001_C6_F0003_X00021.png").touch()
    (note,) = load_duke(root).notes
    for part in ("1 file is not read", "end in .jpg", ".png 1", "train/0001/0012/0001_C6_F0003_X00021.png"):
        assert part in note


def test_the_first_releases_names_are_read(root: Path) -> None:
    for path in (root / "train" / "0001" / "0012").iterdir():
        path.rename(path.with_name(path.name.replace("_", "")))
    assert load_duke(root).tracklets[1].tracklet_id == "0001C6T0012"


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "the folder holds no .jpg frame"),
        (["frame1.jpg"], "'frame1.jpg' is not a frame name of person 3 such as 0001_C6_F0099_X30823.jpg"),
        (["0003_C1_F0001_X00001.JPG"], "'0003_C1_F0001_X00001.JPG' is not a frame name of person 3"),
        (["0004_C1_F0001_X00001.jpg"], "'0004_C1_F0001_X00001.jpg' is not a frame name of person 3"),
        (["0003_C1_F0001_X00001.jpg", "0003_C2_F0002_X00001.jpg"], "the frames are of cameras [1, 2]"),
    ],
)
def test_a_tracklet_that_cannot_be_used_is_left_out(root: Path, names: list[str], reason: str) -> None:
    folder = add_tracklet(root, "query", 3, 1, 2199, ())
    for name in names:
        (folder / name).touch()
    dataset = load_duke(root)
    (left_out,) = dataset.left_out
    assert (left_out.tracklet_id, left_out.split) == ("query/0003/2199", "test")
    assert left_out.reason.startswith(reason)
    assert len(dataset.tracklets) == 4


def test_what_joins_nothing_is_noted(root: Path) -> None:
    write_labels(root, [*ROWS[:3], (9, 9, 9)])
    (root / "train" / "new folder").mkdir()
    add_tracklet(root, "gallery", 2, 6, 2200, (1,))
    assert load_duke(root).notes == (
        "1 folder is not named by a number (first: 'train/new folder'): not used",
        "1 label row has no tracklet (first: 0009C9T0009): not used",
        "2 tracklets have no label row (first: 0002C6T2200, 7140C4T2198): not used",
    )


@pytest.mark.parametrize("part", ["train", "gallery"])
def test_missing_images_are_not_downloaded(root: Path, part: str) -> None:
    (root / part).rename(root / "elsewhere")
    with pytest.raises(
        DataError, match=f"no folder at .*{part}; Duke withdrew the images and this tool does not down"
    ):
        load_duke(root)


def test_a_missing_root_or_label_file_is_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"no folder at .*none; Duke withdrew the images"):
        load_duke(root / "none")
    (root / "duke_attributes.csv").unlink()
    with pytest.raises(DataError, match=r"get duke_attributes\.csv from the authors of the attribute annotations"):
        load_duke(root)
