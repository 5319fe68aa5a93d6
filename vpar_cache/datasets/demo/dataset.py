"""The procedural dataset of `vpar demo`: drawn pedestrians, written in the official layout of MARS.

It goes through the same loader as MARS, so that the demo exercises the real path. Every one of the 43 outputs
is visible in the picture (see figure_drawing) and occurs in both splits; train and test show different
people. Of MARS's quality flags, occlusion, cut-out, multi-person and background-dominant are drawn; the three
about a wrong target stay 0, because here the labels are always those of the person drawn.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.random import default_rng

from vpar_cache.attributes.schema import MARS
from vpar_cache.datasets.demo.casting import CAMERAS, Plan, plan_tracklets, plan_unlabelled
from vpar_cache.datasets.demo.scenes import draw_tracklet, make_camera
from vpar_cache.errors import UserError

_VERSION = 1
"""Raise it when a seed gives other pictures or labels."""
_DONE, _BEGUN = "demo.json", "demo.json.partial"
_JPEG_QUALITY = 90
_CASTING, _CAMERA, _SHOOTING = range(3)  # independent streams of random numbers
_COLUMNS = (
    "motion", "pose", *MARS.quality, "top color", "bottom color", "age", "top length", "bottom length",
    "shoulder bag", "backpack", "hat", "hand bag", "hair", "gender", "bottom type",
)  # fmt: skip
"""Of mars_attributes.csv, after the key."""
_LIMITS = {
    "train_people": (1, 4999),
    "test_people": (1, 4999),
    "tracklets_per_person": (1, 9999),
    "frames": (1, 999),
    "distractors": (0, 9999),
    "junk": (0, 9999),
}
"""What fits into the digits of MARS's file names."""


@dataclass(frozen=True)
class DemoSize:
    """How much to draw. The default gives 160 train and 64 test tracklets."""

    train_people: int = 80
    test_people: int = 32
    """With 20 people in a split, all 43 outputs occur in it."""
    tracklets_per_person: int = 2
    frames: int = 8
    """In each tracklet."""
    distractors: int = 2
    """Unlabelled tracklets of other people (person 0) in the test split, as in MARS."""
    junk: int = 2
    """Unlabelled tracklets without a person (person -1) in the test split, as in MARS."""

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise UserError(f"demo size {name} is {value!r}; give a whole number from {low} to {high}")


def write_demo(root: Path, size: DemoSize, seed: int) -> Path:
    """Draw a dataset below `root` and return `root`; the same size and seed give the same bytes.

    `demo.json` is written last. A finished dataset of the same settings is kept as it is, an interrupted one
    is drawn again, and a folder that holds anything else is a UserError.
    """
    if type(seed) is not int or seed < 0:
        raise UserError(f"demo seed is {seed!r}; give a whole number from 0 up")
    settings = {"format": "vpar-demo", "version": _VERSION, "seed": seed, "size": asdict(size)}
    if _claim(root, settings):
        return root
    train = plan_tracklets(1, size.train_people, size.tracklets_per_person, default_rng((seed, _CASTING, 0)))
    test = plan_tracklets(
        1 + size.train_people, size.test_people, size.tracklets_per_person, default_rng((seed, _CASTING, 1))
    )
    unlabelled = plan_unlabelled(size.distractors, size.junk, default_rng((seed, _CASTING, 2)))
    _write_split(root, "train", train, size.frames, seed)
    _write_split(root, "test", unlabelled + test, size.frames, seed)
    _write_mat(root / "info/query_IDX.mat", "query_IDX", [_queries(unlabelled + test)])
    _write_labels(root / "mars_attributes.csv", train + test)
    (root / _BEGUN).replace(root / _DONE)
    return root


def _claim(root: Path, settings: Mapping[str, object]) -> bool:
    """Whether the dataset is there already. Else mark `root` as begun, or refuse it."""
    text = json.dumps(settings, indent=1) + "\n"
    mend = "give a new or empty folder, or delete this one"
    try:
        root.mkdir(parents=True, exist_ok=True)
        for name in (_DONE, _BEGUN):
            if (root / name).is_file():
                if (root / name).read_text("utf-8", errors="replace") == text:
                    return name == _DONE
                raise UserError(f"{root} holds a demo dataset of another size, seed or version; {mend}")
        if any(root.iterdir()):
            raise UserError(f"{root} is not empty and holds no demo dataset; {mend}")
        (root / _BEGUN).write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{root} cannot take the demo dataset ({error.strerror}); {mend}") from error
    return False


def _write_split(root: Path, split: str, plans: Sequence[Plan], frames: int, seed: int) -> None:
    """Frames, name list and track file of one split."""
    cameras = [make_camera(default_rng((seed, _CAMERA, camera))) for camera in range(CAMERAS)]
    names: list[str] = []
    tracks = []
    for plan in plans:
        # The label -1 cannot seed a generator: count from it.
        rng = default_rng((seed, _SHOOTING, plan.person_id + 1, plan.number))
        folder = root / f"bbox_{split}" / _folder(plan)
        folder.mkdir(parents=True, exist_ok=True)
        tracks.append((len(names) + 1, len(names) + frames, plan.person_id, plan.camera))
        crops = draw_tracklet(plan.people, plan.flags, frames, cameras[plan.camera - 1], rng)
        for i, crop in enumerate(crops, start=1):
            names.append(f"{_folder(plan)}C{plan.camera}T{plan.number:04d}F{i:03d}.jpg")
            crop.save(folder / names[-1], quality=_JPEG_QUALITY)
    info = root / "info"
    info.mkdir(exist_ok=True)
    (info / f"{split}_name.txt").write_text("".join(f"{name}\n" for name in names), "ascii", newline="\n")
    _write_mat(info / f"tracks_{split}_info.mat", f"track_{split}_info", tracks)


def _folder(plan: Plan) -> str:
    return "00-1" if plan.person_id == -1 else f"{plan.person_id:04d}"


def _queries(plans: Sequence[Plan]) -> list[int]:
    """One tracklet of every person in every camera, as 1-based rows of the track file."""
    first: dict[tuple[int, int], int] = {}
    for row, plan in enumerate(plans, start=1):
        if plan.person_id > 0:
            first.setdefault((plan.person_id, plan.camera), row)
    return list(first.values())


def _write_mat(path: Path, variable: str, rows: Sequence[Sequence[int]]) -> None:
    """A MATLAB 5 file. scipy writes the time and the platform into its first 116 bytes: overwrite them."""
    from scipy.io import savemat  # here: who only reads datasets does not pay for it

    savemat(path, {variable: np.array(rows, dtype=np.int32)})
    with path.open("r+b") as file:
        file.write(b"MATLAB 5.0 MAT-file, written by vpar-cache".ljust(116))


def _write_labels(path: Path, plans: Sequence[Plan]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("person_id", "camera_id", "tracklets_id", *_COLUMNS))
        for plan in plans:
            values = {**plan.people[0].labels, **{flag: int(flag in plan.flags) for flag in MARS.quality}}
            writer.writerow((plan.person_id, plan.camera, plan.number, *(values[name] for name in _COLUMNS)))
