"""MARS: the real label and track files join completely; a damaged or incomplete copy is named."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.datasets import mars
from vpar_cache.datasets.mars import load_mars, read_lists
from vpar_cache.datasets.tracklet import LeftOut
from vpar_cache.errors import DataError, UserError

KEYS = ["person_id", "camera_id", "tracklets_id"]
GROUPS = [group.name for group in MARS.groups]
OTHER_GROUPS = [group.columns[-1] for group in MARS.groups]  # as other copies in circulation spell them

TRAIN = ("0001C1T0001", "0001C2T0002", "0002C1T0001")
TEST = ("00-1C1T0001", "0000C1T0001", "0000C1T0002", "0003C1T0001", "0004C6T0123")
LABELLED = (*TRAIN, *TEST[3:])


def person_of(track: str) -> int:
    return -1 if track.startswith("00-1") else int(track[:4])


def write_tracks(root: Path, split: str, tracks: Sequence[str], frames: int = 3, images: bool = True) -> None:
    names, rows = [], []
    for track in tracks:
        start = len(names) + 1
        names += [f"{track}F{i:03d}.jpg" for i in range(1, frames + 1)]
        rows.append((start, len(names), person_of(track), int(track[5])))
    (root / "info").mkdir(parents=True, exist_ok=True)
    (root / f"bbox_{split}").mkdir(exist_ok=True)
    (root / "info" / f"{split}_name.txt").write_text("".join(f"{name}\r\n" for name in names), newline="")
    write_table(root, split, rows)
    for name in names if images else []:
        folder = root / f"bbox_{split}" / name[:4]
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("no decoder sees this")


def write_table(root: Path, split: str, rows: object, name: str | None = None) -> None:
    path = root / "info" / f"tracks_{split}_info.mat"
    scipy.io.savemat(path, {name or f"track_{split}_info": np.array(rows, dtype=float)})


def write_labels(root: Path, tracks: Sequence[str], groups: Sequence[str] = GROUPS) -> None:
    header = [*KEYS, *MARS.quality, *groups]
    with (root / "mars_attributes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for track in tracks:
            key = [int(track[:4]), int(track[5]), int(track[7:11])]
            writer.writerow(key + [1, 0, 0, 0, 0, 0, 1] + [1] * len(groups))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tracks(tmp_path, "train", TRAIN)
    write_tracks(tmp_path, "test", TEST)
    write_labels(tmp_path, LABELLED)
    return tmp_path


def test_all_real_label_rows_join_with_the_real_track_files(real_data: Path, tmp_path: Path) -> None:
    meta = real_data / "mars_meta"
    with zipfile.ZipFile(meta / "info.zip") as archive:
        archive.extractall(tmp_path)
    (tmp_path / "mars_attributes.csv").write_bytes((meta / "mars_attributes.csv").read_bytes())
    tracklets, notes = read_lists(tmp_path)
    splits = {split: [t for t in tracklets if t.split == split] for split in ("train", "test")}
    assert (len(splits["train"]), len(splits["test"])) == (8298, 8062)
    assert len({t.person_id for t in splits["train"]}) == 625
    assert len({t.person_id for t in splits["test"]}) == 634
    assert len({t.tracklet_id for t in tracklets}) == 16360
    assert notes == ["3248 distractor and 870 junk tracklets: no label, not used"]
    lengths = {split: [len(t.frames) for t in found] for split, found in splits.items()}
    assert (min(lengths["test"]), max(lengths["test"])) == (2, 920)
    assert sum(lengths["train"]) == 509_914
    assert round(np.mean(lengths["train"]), 1) == 61.5
    assert {t.camera_id for t in tracklets} == set(range(1, 7))
    # Sums of the columns of the real label file.
    labels, names = np.stack([t.labels for t in tracklets]), [output.name for output in MARS.outputs]
    assert labels[:, names.index("bottom type trousers or shorts")].sum() == 14_111
    assert labels[:, names.index("age young")].sum() == 104
    flags = np.stack([t.quality for t in tracklets])
    assert flags.sum(axis=0).tolist() == [65, 231, 799, 1300, 208, 14, 24]


def test_the_real_crops_load_whole(real_data: Path) -> None:
    dataset = load_mars(real_data / "vtest_mars")
    assert (dataset.count("train"), dataset.count("test")) == (14, 14)
    assert (dataset.num_people("train"), dataset.num_people("test")) == (4, 3)
    assert (dataset.left_out, dataset.notes) == ((), ())
    assert all((t.folder / frame).stat().st_size for t in dataset.tracklets for frame in t.frames)


def test_a_tracklet_holds_what_its_row_and_names_say(root: Path) -> None:
    dataset = load_mars(root)
    assert [t.tracklet_id for t in dataset.tracklets] == list(LABELLED)
    last = dataset.tracklets[-1]
    assert (last.split, last.person_id, last.camera_id) == ("test", 4, 6)
    assert last.folder == root / "bbox_test" / "0004"
    assert last.frames == ("0004C6T0123F001.jpg", "0004C6T0123F002.jpg", "0004C6T0123F003.jpg")
    assert last.quality.tolist() == [1, 0, 0, 0, 0, 0, 1]
    assert last.labels.sum() == len(MARS.groups)
    assert (dataset.name, dataset.schema, dataset.left_out) == ("mars", MARS, ())
    assert dataset.notes == ("2 distractor and 1 junk tracklet: no label, not used",)


def test_both_headers_in_circulation_read_the_same(root: Path) -> None:
    ours = load_mars(root)
    write_labels(root, LABELLED, OTHER_GROUPS)
    theirs = load_mars(root)
    assert OTHER_GROUPS != GROUPS
    for one, other in zip(ours.tracklets, theirs.tracklets, strict=True):
        assert one.labels.tolist() == other.labels.tolist()


def test_frames_come_in_time_order_whatever_the_list_says(root: Path) -> None:
    path = root / "info" / "train_name.txt"
    lines = path.read_text().split()
    path.write_text("\n".join([lines[2], lines[0], lines[1], *lines[3:]]))
    assert load_mars(root).tracklets[0].frames == tuple(lines[:3])


def test_frame_1000_comes_after_frame_999(root: Path) -> None:
    write_tracks(root, "train", TRAIN[:1], frames=1001)
    frames = load_mars(root).tracklets[0].frames
    assert [int(name[12:-4]) for name in frames] == list(range(1, 1002))


def test_missing_frames_leave_the_tracklet_out(root: Path) -> None:
    for name in ("0001C1T0001F002.jpg", "0001C1T0001F003.jpg"):
        (root / "bbox_train" / "0001" / name).unlink()
    for path in (root / "bbox_test" / "0004").iterdir():
        path.unlink()
    (root / "bbox_test" / "0004").rmdir()
    dataset = load_mars(root)
    assert dataset.left_out == (
        LeftOut("0001C1T0001", "train", "2 of 3 frames are missing, first: 0001C1T0001F002.jpg"),
        LeftOut("0004C6T0123", "test", "3 of 3 frames are missing, first: 0004C6T0123F001.jpg"),
    )
    assert [t.tracklet_id for t in dataset.tracklets] == ["0001C2T0002", "0002C1T0001", "0003C1T0001"]


def test_a_split_that_nothing_joins_is_refused(root: Path) -> None:
    write_labels(root, TRAIN)
    with pytest.raises(DataError, match=r"mars: no test tracklets: 2 tracklets have no label row \(first: 0003"):
        load_mars(root)
    write_tracks(root, "train", ["0008C1T0001"], images=False)
    write_labels(root, [*TEST[3:], "0008C1T0001"])
    with pytest.raises(DataError, match=r"no train tracklets: 1 were left out \(0008C1T0001: 3 of 3 frames"):
        load_mars(root)


def test_a_root_that_is_not_a_folder_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder at .*none; give the MARS folder as --root"):
        load_mars(tmp_path / "none")


def test_a_missing_folder_of_a_person_names_the_near_one(root: Path) -> None:
    (root / "bbox_test" / "0004").rename(root / "bbox_test" / "4")
    (item,) = load_mars(root).left_out
    for part in ("3 of 3 frames are missing", "bbox_test has '4'", "leading zeros"):
        assert part in item.reason


@pytest.mark.parametrize(
    ("missing", "fix"),
    [
        ("bbox_train", "no folder at .*bbox_train; unpack bbox_train.zip .* of the MARS project page"),
        ("info/train_name.txt", "copy the folder 'info' of the authors' MARS-evaluation repository on GitHub"),
        ("info/tracks_test_info.mat", "no file at .*tracks_test_info.mat; copy the folder 'info'"),
        ("mars_attributes.csv", "get mars_attributes.csv from the authors of the attribute annotations"),
    ],
)
def test_a_missing_part_is_named_with_its_source(root: Path, missing: str, fix: str) -> None:
    (root / missing).rename(root / "elsewhere")
    with pytest.raises(DataError, match=fix):
        load_mars(root)


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "0001C1T0001F001.png",
        "0001C1T0001F\0.jpg",
        "x/0001C1T0001F001.jpg",
    ],
)
def test_a_name_that_is_no_frame_name_is_refused(root: Path, name: str) -> None:
    path = root / "info" / "train_name.txt"
    lines = path.read_text().split()
    path.write_text("\n".join([lines[0], name, *lines[2:]]))
    with pytest.raises(
        DataError, match=r"train_name\.txt line 2: '.*' is not a frame name such as 0001C1T0001F001\.jpg"
    ):
        load_mars(root)


def test_bytes_that_are_no_text_and_empty_lists_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "info" / "train_name.txt"
    path.write_bytes(b"\xff" + path.read_bytes())
    with pytest.raises(DataError, match=r"line 1: .* is not a frame name"):
        load_mars(root)
    path.write_bytes(b"\r\n")
    with pytest.raises(DataError, match=r"train_name\.txt is empty; copy the folder 'info'"):
        load_mars(root)
    monkeypatch.setattr(mars, "MAX_LIST_BYTES", 1)
    with pytest.raises(DataError, match="is over 1 bytes"):
        load_mars(root)


GOOD = [(1, 3, 1, 1), (4, 6, 1, 2), (7, 9, 2, 1)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, 3, 1)], "track_train_info is 1 x 3, but must be N x 4"),
        ([*GOOD[:2], (7, 10, 2, 1)], "row 3 is 7, 10, 2, 1, but must be start, end, .* 1 <= start <= end <= 9"),
        ([(0, 3, 1, 1), *GOOD[1:]], "row 1 is 0, 3, 1, 1, but must be"),
        ([(1, 2.5, 1, 1), *GOOD[1:]], "row 1 is 1, 2.5, 1, 1, but must be"),
        ([(1, 3, 1, float("inf")), *GOOD[1:]], "row 1 is 1, 3, 1, inf, but must be"),
        ([(1, 3, 2, 1), *GOOD[1:]], "row 1 says person 2, camera 1, but its first frame is 0001C1T0001F001.jpg"),
        ([(1, 6, 1, 1), GOOD[2]], "row 1: frame 0001C2T0002F001.jpg is not of tracklet 0001C1T0001"),
        ([(1, 3, 1, 1), (3, 6, 1, 2), GOOD[2]], "line 3 of train_name.txt is in two tracklets"),
        ([(1, 1, 1, 1), (2, 3, 1, 1), *GOOD[1:]], r"mars: 1 tracklet id given twice \(first: 0001C1T0001\)"),
    ],
)
def test_a_track_table_that_contradicts_the_names_is_refused(root: Path, rows: object, message: str) -> None:
    write_table(root, "train", rows)
    with pytest.raises(DataError, match=message):
        load_mars(root)


def test_a_frame_listed_twice_is_refused(root: Path) -> None:
    path = root / "info" / "train_name.txt"
    lines = path.read_text().split()
    path.write_text("\n".join([lines[0], lines[0], *lines[2:]]))
    with pytest.raises(DataError, match="row 1: a frame of 0001C1T0001 is listed twice"):
        load_mars(root)


def test_a_table_is_found_by_its_name(root: Path) -> None:
    write_table(root, "train", GOOD, "tracks_train_info")
    assert load_mars(root).count("train") == 3
    write_table(root, "train", GOOD, "track_test_info")
    with pytest.raises(DataError, match="holds track_test_info, but must hold track_train_info"):
        load_mars(root)


def test_a_damaged_table_is_refused(root: Path) -> None:
    path = root / "info" / "tracks_train_info.mat"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"tracks_train_info\.mat is damaged"):
        load_mars(root)
