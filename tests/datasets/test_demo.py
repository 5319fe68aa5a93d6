"""The procedural dataset: reproducible, in MARS's layout, and every label to be seen in the picture."""

from __future__ import annotations

import csv
import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.random import default_rng
from PIL import Image
from scipy.io import loadmat

from vpar_cache.attributes.schema import MARS
from vpar_cache.datasets.demo.casting import cast_people, plan_tracklets
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.datasets.demo.figures import BOTTOM_COLOURS, TOP_COLOURS
from vpar_cache.datasets.demo.scenes import Camera, Person, draw_tracklet
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import UserError

SMALL = DemoSize(train_people=4, test_people=3, tracklets_per_person=2, frames=3)
MARS_HEADER = (
    "person_id,camera_id,tracklets_id,motion,pose,occlusion,cut-out,multi-person,background-dominant,"
    "target-change,target-miss,wrong-target,top color,bottom color,age,top length,bottom length,shoulder bag,"
    "backpack,hat,hand bag,hair,gender,bottom type"
)
ONE_POSE_EACH = range(5)  # without "varies"
PLAIN = Camera(Image.new("RGB", (1280, 512), (150, 160, 150)), np.ones(3))


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

    monkeypatch.setattr("vpar_cache.datasets.demo.dataset._write_labels", fail)
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
    with pytest.raises(UserError, match="not empty and holds no demo dataset; give a new or empty folder"):
        write_demo(tmp_path, SMALL, 7)
    assert contents(tmp_path) == {"holiday.txt": b"mine"}


@pytest.mark.parametrize(("size", "seed"), [(SMALL, 8), (dataclasses.replace(SMALL, frames=2), 7)])
def test_a_dataset_of_other_settings_is_refused_and_left_alone(small: Path, size: DemoSize, seed: int) -> None:
    before = contents(small)
    with pytest.raises(UserError, match="another size, seed or version; give a new or empty folder, or delete"):
        write_demo(small, size, seed)
    assert contents(small) == before


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot take the demo dataset"):
        write_demo(tmp_path / "file", SMALL, 7)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("train_people", 0, "from 1 to 4999"),
        ("test_people", 5000, "from 1 to 4999"),
        ("tracklets_per_person", 0, "from 1 to 9999"),
        ("frames", 1000, "from 1 to 999"),
        ("frames", 2.5, "from 1 to 999"),
        ("frames", True, "from 1 to 999"),
        ("distractors", -1, "from 0 to 9999"),
        ("junk", -1, "from 0 to 9999"),
    ],
)
def test_a_bad_size_names_the_value_and_the_rule(field: str, value: object, rule: str) -> None:
    with pytest.raises(UserError, match=f"{field} is {value!r}; give a whole number {rule}"):
        dataclasses.replace(SMALL, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 0.5])
def test_a_bad_seed_is_refused(tmp_path: Path, seed: object) -> None:
    with pytest.raises(UserError, match="from 0 up"):
        write_demo(tmp_path, SMALL, seed)  # type: ignore[arg-type]


# The layout of MARS


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_track_row_joins_frames_on_disk_and_one_label_row(small: Path, split: str) -> None:
    names = (small / f"info/{split}_name.txt").read_text().split("\n")
    assert names.pop() == ""
    tracks = loadmat(small / f"info/tracks_{split}_info.mat")[f"track_{split}_info"]
    text = (small / "mars_attributes.csv").read_text()
    keys = {tuple(row[:3]) for row in list(csv.reader(text.splitlines()))[1:]}
    seen = []
    unlabelled = []
    for start, end, person, camera in tracks.tolist():
        own = names[start - 1 : end]
        seen += own
        assert len(own) == SMALL.frames
        assert {name[:11] for name in own} == {own[0][:11]}
        assert [name[11:] for name in own] == [f"F{i + 1:03d}.jpg" for i in range(len(own))]
        assert int(own[0][:4].removeprefix("00") if person == -1 else own[0][:4]) == person
        assert own[0][4:7] == f"C{camera}T"
        assert all((small / f"bbox_{split}" / name[:4] / name).is_file() for name in own)
        if (str(person), str(camera), str(int(own[0][7:11]))) not in keys:
            unlabelled.append(person)
    assert seen == names
    assert len(list((small / f"bbox_{split}").rglob("*.jpg"))) == len(names)
    assert unlabelled == ([] if split == "train" else [-1, -1, 0, 0])


def test_the_label_file_has_the_header_of_mars_and_no_other_rows(small: Path) -> None:
    lines = (small / "mars_attributes.csv").read_text().splitlines()
    assert lines[0] == MARS_HEADER
    assert len(lines) == 1 + (SMALL.train_people + SMALL.test_people) * SMALL.tracklets_per_person


def test_queries_are_one_tracklet_per_test_person_and_camera(small: Path) -> None:
    tracks = loadmat(small / "info/tracks_test_info.mat")["track_test_info"]
    queries = loadmat(small / "info/query_IDX.mat")["query_IDX"]
    assert queries.shape == (1, queries.size)
    asked = [tuple(row[2:]) for row in tracks[queries[0] - 1].tolist()]
    assert sorted(asked) == sorted({tuple(row[2:]) for row in tracks.tolist() if row[2] > 0})


def test_frames_are_crops_of_the_size_of_mars(small: Path) -> None:
    for path in small.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((128, 256), "RGB")


def test_unlabelled_tracklets_are_left_out_on_request(tmp_path: Path) -> None:
    root = write_demo(tmp_path, DemoSize(1, 1, 1, 1, distractors=0, junk=0), 0)
    assert [path.name for path in (root / "bbox_test").iterdir()] == ["0002"]


def test_the_settings_are_told(small: Path) -> None:
    settings = json.loads((small / "demo.json").read_text())
    assert (settings["seed"], settings["size"]["train_people"]) == (7, 4)


# The labels


def test_the_loader_of_mars_finds_every_output_in_both_splits_at_the_default_size(default: Path) -> None:
    dataset = load_mars(default)
    assert (dataset.count("train"), dataset.count("test"), dataset.left_out) == (160, 64, ())
    people = [{t.person_id for t in dataset.tracklets if t.split == split} for split in ("train", "test")]
    assert not people[0] & people[1]
    assert len({t.camera_id for t in dataset.tracklets}) == 3
    for split in ("train", "test"):
        share = np.mean([t.labels for t in dataset.tracklets if t.split == split], axis=0)  # (A,)
        assert (share > 0).all()
        assert (share < 1).all()


def test_the_labels_of_the_loader_are_those_drawn(default: Path) -> None:
    """Polarity end to end: a person in a black top has dark pixels where a white one has bright."""
    brightness: dict[str, list[float]] = {"black": [], "white": []}
    for tracklet in load_mars(default).tracklets:
        for name, found in brightness.items():
            outputs = [output.name for output in MARS.outputs]
            if tracklet.labels[outputs.index(f"top color {name}")] and not tracklet.quality.any():
                with Image.open(tracklet.folder / tracklet.frames[0]) as image:
                    found.append(float(np.asarray(image.convert("L"))[60:130, 50:78].mean()))
    assert np.median(brightness["black"]) + 40 < np.median(brightness["white"])


@pytest.mark.parametrize("seed", range(10))
def test_twenty_people_show_every_output(seed: int) -> None:
    plans = plan_tracklets(1, 20, 2, default_rng(seed))
    labels = np.array([MARS.encode(plan.people[0].labels) for plan in plans])  # (40, A)
    assert labels.any(axis=0).all()


def test_a_person_keeps_its_looks_and_changes_pose_and_camera() -> None:
    plans = plan_tracklets(1, 30, 3, default_rng(0))
    for person in range(1, 31):
        own = [plan for plan in plans if plan.person_id == person]
        looks = [{k: v for k, v in plan.people[0].labels.items() if k not in ("pose", "motion")} for plan in own]
        assert looks == [looks[0]] * 3
        assert len({plan.people[0].traits for plan in own}) == 1
        assert [(plan.camera, plan.number) for plan in own] == [(1, 1), (2, 2), (3, 3)]
    assert len({plan.people[0].labels["pose"] for plan in plans}) == 6


# The pictures


def draw(changes: dict[str, int], seed: int = 3, flags: tuple[str, ...] = (), frames: int = 4) -> np.ndarray:
    """A tracklet of a person with these labels; all else is the same for the same seed."""
    plain = dict.fromkeys((group.name for group in MARS.groups), 0) | {
        "age": 2,
        "top color": 7,
        "bottom color": 7,
        "bottom type": 1,
    }
    person = Person(plain | changes, cast_people(1, default_rng(seed))[0].traits)
    crops = draw_tracklet([person], flags, frames, PLAIN, default_rng(seed))
    return np.stack([np.asarray(crop, dtype=np.int64) for crop in crops])  # (frames, 256, 128, 3)


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
        ("top color", TOP_COLOURS, slice(80, 110), {}),
        ("bottom color", BOTTOM_COLOURS, slice(150, 195), {"bottom type": 0}),
    ],
)
def test_clothes_have_the_colour_of_their_label(group, colours, rows, changes) -> None:
    for value in range(len(colours)):
        region = draw(changes | {group: value, "motion": 3})[:, rows, 56:72]
        distance = np.linalg.norm(np.array(colours) - region.mean(axis=(0, 1, 2)), axis=1)
        assert int(distance.argmin()) == value
        assert distance[value] < 30


@pytest.mark.parametrize("changes", [{}, {"bottom type": 0}])
def test_complex_clothes_have_several_colours(changes: dict[str, int]) -> None:
    for group, rows in (("top color", slice(80, 110)), ("bottom color", slice(150, 195))):
        last = next(g.num_values for g in MARS.groups if g.name == group) - 1
        spread = [
            draw(changes | {group: value, "motion": 3})[0, rows, 60:68].std(axis=0).max() for value in (4, last)
        ]
        assert spread[1] > 3 * spread[0]


def test_who_walks_moves_and_who_stays_does_not() -> None:
    moved = {}
    for motion in range(4):
        frames = draw({"motion": motion, "pose": 2}, frames=6)[:, 128:]  # the lower half: legs
        moved[motion] = np.mean([changed(one, other) for one, other in pairwise(frames)])
    assert min(moved[0], moved[1]) > 1.5 * moved[3]


def test_a_pose_that_varies_turns_from_front_to_back() -> None:
    front, back, turning = (draw({"pose": pose}) for pose in (0, 4, 5))
    assert (turning[0] == front[0]).all()
    assert (turning[-1] == back[-1]).all()


def test_a_motion_that_varies_begins_still_and_ends_running() -> None:
    still, running, varying = (draw({"motion": motion, "pose": 2}) for motion in (3, 1, 4))
    assert (varying[0] == still[0]).all()
    assert changed(varying[-1], still[-1]) > 0.5 * changed(running[-1], still[-1])


@pytest.mark.parametrize("flag", ["occlusion", "cut-out", "background-dominant"])
def test_a_quality_flag_is_seen(flag: str) -> None:
    assert changed(draw({}), draw({}, flags=(flag,))) > 0.05
