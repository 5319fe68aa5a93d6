"""The procedural dataset: reproducible, in MARS's layout, and every label to be seen in the picture."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.random import default_rng
from PIL import Image, ImageDraw
from scipy.io import loadmat

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.datasets.demo.people import cast_people
from vpar_cache.datasets.demo.person_drawing import BOTTOM_COLOURS, TOP_COLOURS, draw_person
from vpar_cache.datasets.demo.video import write_video
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import UserError

SMALL = DemoSize(train_people=4, test_people=3, tracklets_per_person=2, frames=3)
ONE_POSE_EACH = range(5)  # without "varies"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("small") / "demo", SMALL, 7)


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("default"), DemoSize(), 0)


# Reproducible


def test_same_seed_gives_the_same_bytes_of_every_file(small: Path, tmp_path: Path) -> None:
    assert contents(write_demo(tmp_path, SMALL, 7)) == contents(small)


def test_another_seed_gives_other_pictures_and_labels_in_the_same_places(small: Path, tmp_path: Path) -> None:
    one, other = contents(small), contents(write_demo(tmp_path, SMALL, 8))
    pictures = [name for name in one if name.startswith("bbox_")]
    assert pictures == [name for name in other if name.startswith("bbox_")]
    assert all(one[name] != other[name] for name in pictures)
    assert one["mars_attributes.csv"] != other["mars_attributes.csv"]


def test_a_rerun_touches_nothing(small: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    assert write_demo(small, SMALL, 7) == small
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == times


def test_an_interrupted_run_is_completed_to_the_same_bytes(small: Path, tmp_path: Path) -> None:
    root = write_demo(tmp_path, SMALL, 7)
    (root / "demo.json").rename(root / "demo.json.partial")
    (root / "mars_attributes.csv").unlink()
    next(root.glob("bbox_test/*/*.jpg")).write_bytes(b"half a pict")
    assert contents(write_demo(root, SMALL, 7)) == contents(small)


def test_the_done_mark_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vpar_cache.datasets.demo.dataset.write_labels", fail)
    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path, SMALL, 7)
    assert not (tmp_path / "demo.json").exists()


def test_only_the_root_is_written(tmp_path: Path) -> None:
    write_demo(tmp_path / "deep" / "demo", DemoSize(1, 1, 1, 1), 0)
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["demo"]


# Refused


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(UserError, match=r"got a folder with other contents"):
        write_demo(tmp_path, SMALL, 7)
    assert contents(tmp_path) == {"holiday.txt": b"mine"}


@pytest.mark.parametrize(("size", "seed"), [(SMALL, 8), (dataclasses.replace(SMALL, frames=2), 7)])
def test_a_dataset_of_other_settings_is_refused_and_left_alone(small: Path, size: DemoSize, seed: int) -> None:
    before = contents(small)
    with pytest.raises(UserError, match=r"got a folder with other contents"):
        write_demo(small, size, seed)
    assert contents(small) == before


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: .*folder"):
        write_demo(tmp_path / "file", SMALL, 7)


# The layout of MARS


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_track_row_joins_frames_on_disk_and_one_label_row(small: Path, split: str) -> None:
    names = (small / f"info/{split}_name.txt").read_text().splitlines()
    tracks = loadmat(small / f"info/tracks_{split}_info.mat")[f"track_{split}_info"]
    rows = list(csv.reader((small / "mars_attributes.csv").read_text().splitlines()))
    keys = [tuple(map(int, row[:3])) for row in rows[1:]]
    for start, end, person, camera in tracks.tolist():
        own = names[start - 1 : end]
        assert len(own) == SMALL.frames
        number = int(own[0][7:11])
        assert own == [f"{person:04d}C{camera}T{number:04d}F{i + 1:03d}.jpg" for i in range(len(own))]
        assert all((small / f"bbox_{split}" / name[:4] / name).is_file() for name in own)
        assert keys.count((person, camera, number)) == 1
    assert len(list((small / f"bbox_{split}").rglob("*.jpg"))) == len(names) == tracks[-1][1]


def test_frames_are_crops_of_the_size_of_mars(small: Path) -> None:
    for path in small.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((128, 256), "RGB")


def test_the_settings_are_told(small: Path) -> None:
    settings = json.loads((small / "demo.json").read_text())
    assert (settings["seed"], settings["size"]["train_people"]) == (7, 4)


# The labels


def test_the_loader_of_mars_finds_every_output_in_both_splits_at_the_default_size(default: Path) -> None:
    dataset = load_mars(default)
    assert (dataset.count("train"), dataset.count("test"), dataset.left_out) == (340, 80, ())
    people = [{t.person_id for t in dataset.tracklets if t.split == split} for split in ("train", "test")]
    assert not people[0] & people[1]
    assert len({t.camera_id for t in dataset.tracklets}) == 3
    for split in ("train", "test"):
        share = np.mean([t.labels for t in dataset.tracklets if t.split == split], axis=0)  # (A,)
        assert (share > 0).all()
        assert (share < 1).all()


def test_the_tracklets_of_a_person_share_clothes_but_not_pose_and_camera(default: Path) -> None:
    moving = [group.name in ("pose", "motion") for group in MARS.groups for _ in group.outputs]
    people: dict[int, list] = {}
    for tracklet in load_mars(default).tracklets:
        people.setdefault(tracklet.person_id, []).append(tracklet)
    for one, other in people.values():
        assert (one.labels == other.labels)[~np.array(moving)].all()
        assert one.camera_id != other.camera_id
    assert any((one.labels != other.labels).any() for one, other in people.values())


@pytest.mark.parametrize("seed", range(5))
def test_twenty_people_have_every_value_of_every_group_of_a_person(seed: int) -> None:
    people = cast_people(20, default_rng(seed))
    for group in MARS.groups:
        if group.name not in ("pose", "motion"):
            assert {person.labels[group.name] for person in people} == set(range(group.num_values))


# The pictures


def draw(changes: dict[str, int], frames: int = 4) -> np.ndarray:
    """A person with these labels at some times; all else is the same."""
    plain = dict.fromkeys((group.name for group in MARS.groups), 0)
    plain |= {"age": 2, "top color": 7, "bottom color": 7, "bottom type": 1}
    person = dataclasses.replace(cast_people(1, default_rng(3))[0], labels=plain | changes)
    crops = []
    for frame in range(frames):
        image = Image.new("RGB", (128, 256), (150, 160, 150))
        draw_person(ImageDraw.Draw(image), person, (64, 246), 230, frame / frames)
        crops.append(np.asarray(image, dtype=np.int64))
    return np.stack(crops)  # (frames, 256, 128, 3)


def changed(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels that clearly differ."""
    return float((np.abs(one - other).max(axis=-1) > 40).mean())


@pytest.mark.parametrize("pose", ONE_POSE_EACH)
@pytest.mark.parametrize("group", [group.name for group in MARS.groups if not group.is_choice])
def test_every_binary_attribute_is_seen_from_every_side(group: str, pose: int) -> None:
    # 1 % of the pixels: a bag of 20 by 16
    assert changed(draw({"pose": pose, group: 0}), draw({"pose": pose, group: 1})) > 0.01


@pytest.mark.parametrize("group", [group for group in MARS.groups if group.is_choice], ids=lambda g: g.name)
def test_any_two_values_of_a_choice_look_different(group) -> None:
    drawn = [draw({"pose": 1, group.name: value}) for value in range(group.num_values)]
    for i, one in enumerate(drawn):
        assert all(changed(one, other) > 0.02 for other in drawn[:i])


@pytest.mark.parametrize(
    ("group", "colours", "rows", "changes"),
    [
        ("top color", TOP_COLOURS, slice(98, 116), {}),
        ("bottom color", BOTTOM_COLOURS, slice(150, 170), {}),
    ],
)
def test_clothes_have_the_colour_of_their_label(group, colours, rows, changes) -> None:
    for value in range(len(colours)):
        region = draw(changes | {group: value, "motion": 3})[:, rows, 50:58]
        distance = np.linalg.norm(np.array(colours) - region.mean(axis=(0, 1, 2)), axis=1)
        assert int(distance.argmin()) == value
        assert distance[value] < 30


def test_a_walking_person_moves_and_a_pose_that_varies_turns() -> None:
    for changes in ({"motion": 0}, {"pose": 5}):
        assert changed(*draw(changes)[[0, 3]]) > 0.01


@pytest.mark.parametrize("flag", ["occlusion", "cut-out", "multi-person", "background-dominant"])
def test_every_drawn_quality_flag_occurs(default: Path, flag: str) -> None:
    tracklets = load_mars(default).tracklets
    assert any(tracklet.quality[MARS.quality.index(flag)] for tracklet in tracklets)


# The video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video"), people=4, frames=12, seed=5)


def test_every_box_of_the_video_shows_somebody(video: Path) -> None:
    boxes = np.loadtxt(video / "gt/gt.txt", delimiter=",")  # (boxes, 9)
    frames = [np.asarray(Image.open(path), dtype=np.int64) for path in sorted((video / "img1").iterdir())]
    assert len(frames) == 12
    background = np.median(frames[0], axis=1, keepdims=True)  # each row's colour; (360, 1, 3)
    for frame, _, left, top, width, height, *rest in boxes:
        assert rest == [1, 1, 1]
        rows, columns = slice(round(top), round(top + height)), slice(round(left), round(left + width))
        differs = np.abs(frames[int(frame) - 1] - background).max(axis=-1) > 40
        assert differs[rows, columns].mean() > 0.15
        assert left >= 0
        assert left + width <= 640.1


def test_ids_of_boxes_and_labels_of_the_video_agree(video: Path) -> None:
    rows = list(csv.DictReader((video / "truth.csv").read_text().splitlines()))
    assert [row["track_id"] for row in rows] == ["1", "2", "3", "4"]
    for row in rows:
        MARS.encode({group.name: int(row[group.name]) for group in MARS.groups})
    ids = {line.split(",")[1] for line in (video / "gt/gt.txt").read_text().splitlines()}
    assert ids <= {row["track_id"] for row in rows}
    assert len(ids) > 1
    assert "seqLength=12\n" in (video / "seqinfo.ini").read_text()


def test_a_seed_gives_the_same_video(video: Path, tmp_path: Path) -> None:
    assert contents(write_video(tmp_path, people=4, frames=12, seed=5)) == contents(video)
