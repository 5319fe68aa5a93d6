"""The procedural dataset of `vpar demo`: drawn pedestrians, written in the official layout of MARS.

It goes through the same loader as MARS, so that the demo exercises the real path. Every one of the 43 outputs
is visible in the picture and occurs in both splits. Train and test show different people. Of MARS's quality
flags, occlusion, cut-out, multi-person and background-dominant are drawn; the three about a wrong target
stay 0, because here the labels are always those of the person drawn.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from scipy.io import savemat

from vpar_cache.errors import UserError
from vpar_cache.schema import MARS
from vpar_cache.tracklets.figure_drawing import BOTTOM_COLOURS, TOP_COLOURS, Traits
from vpar_cache.tracklets.scene_drawing import Camera, Person, draw_tracklet, make_camera
from vpar_cache.tracklets.sketch import Colour

CAMERAS = 3
_VERSION = 1
"""Raise it when the pictures or labels of a seed change."""
_DONE = "demo.json"
_QUALITY = 90
_SPLITS = ("train", "test")
_CASTING, _CAMERA, _SHOOTING = range(3)  # streams of random numbers

_PERSON_SHARES: dict[str, tuple[float, ...]] = {
    "gender": (0.55, 0.45),
    "top length": (0.45, 0.55),
    "bottom length": (0.6, 0.4),
    "shoulder bag": (0.7, 0.3),
    "backpack": (0.7, 0.3),
    "hat": (0.75, 0.25),
    "hand bag": (0.75, 0.25),
    "hair": (0.65, 0.35),
    "bottom type": (0.25, 0.75),
    "top color": (0.14, 0.09, 0.10, 0.12, 0.10, 0.14, 0.09, 0.12, 0.10),
    "bottom color": (0.09, 0.08, 0.14, 0.08, 0.12, 0.09, 0.08, 0.14, 0.10, 0.08),
    "age": (0.15, 0.22, 0.43, 0.20),
}
"""How often each label value occurs; at least 1 in 20, so that 20 people show all of them."""
_TRACKLET_SHARES: dict[str, tuple[float, ...]] = {
    "pose": (0.17, 0.17, 0.18, 0.17, 0.18, 0.13),
    "motion": (0.45, 0.14, 0.14, 0.15, 0.12),
}
_WITH_GENDER = {"hair": 1.0, "bottom type": -1.0}
"""Groups that lean on gender, as they do in MARS: a model must not be able to take them as independent."""
_FLAG_SHARES = {"occlusion": 0.10, "cut-out": 0.08, "multi-person": 0.08, "background-dominant": 0.10}

_SKINS: tuple[Colour, ...] = (
    (240, 200, 168),
    (226, 176, 138),
    (198, 144, 104),
    (150, 100, 68),
    (104, 68, 46),
)
_HAIRS: tuple[Colour, ...] = ((22, 18, 18), (58, 38, 24), (104, 66, 36), (214, 176, 96), (150, 66, 34))
_SHOES: tuple[Colour, ...] = ((30, 28, 30), (84, 52, 32), (225, 225, 225))
_ACCENTS: tuple[Colour, ...] = (
    (20, 135, 140), (235, 120, 30), (150, 95, 45), (200, 40, 110), (90, 185, 60), (30, 45, 90), (225, 205, 150),
)  # fmt: skip
"""Hats and bags."""


@dataclass(frozen=True)
class DemoSize:
    """How much to draw. The default gives 162 train and 66 test tracklets of 8 frames."""

    train_people: int = 54
    test_people: int = 22
    tracklets_per_person: int = 3
    frames: int = 8
    """In each tracklet."""
    distractors: int = 2
    """Unlabelled tracklets of other people (person 0) in the test split, as in MARS."""
    junk: int = 2
    """Unlabelled tracklets without a person (person -1) in the test split, as in MARS."""

    def __post_init__(self) -> None:
        limits = {"train_people": (1, 4999), "test_people": (1, 4999), "tracklets_per_person": (1, 9999),
                  "frames": (1, 999), "distractors": (0, 9999), "junk": (0, 9999)}  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise UserError(
                    f"demo size {name} is {value!r}, but must be a whole number from {low} to {high}"
                )


@dataclass(frozen=True)
class _Plan:
    """A tracklet to draw. Without a label row when `person_id` is 0 or -1."""

    person_id: int
    camera: int
    number: int
    people: tuple[Person, ...]
    flags: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return "00-1" if self.person_id == -1 else f"{self.person_id:04d}"

    @property
    def name(self) -> str:
        return f"{self.folder}C{self.camera}T{self.number:04d}"

    def label_row(self) -> list[int]:
        """In the order of _csv_header."""
        labels = self.people[0].labels
        quality = [int(flag in self.flags) for flag in MARS.quality]
        key = [self.person_id, self.camera, self.number]
        return [*key, labels["motion"], labels["pose"], *quality, *(labels[name] for name in _LATER_COLUMNS)]


_LATER_COLUMNS = ("top color", "bottom color", "age", "top length", "bottom length", "shoulder bag", "backpack",
                  "hat", "hand bag", "hair", "gender", "bottom type")  # fmt: skip
_CSV_HEADER = ("person_id", "camera_id", "tracklets_id", "motion", "pose", *MARS.quality, *_LATER_COLUMNS)


def write_demo(root: Path, size: DemoSize, seed: int) -> Path:
    """Draw a dataset below `root` and return `root`; the same size and seed give the same bytes.

    `demo.json` is written last: a finished dataset of the same settings is kept as it is, an interrupted one
    is drawn again. A folder that holds anything else is a UserError.
    """
    if type(seed) is not int or seed < 0:
        raise UserError(f"demo seed is {seed!r}, but must be a whole number from 0 up")
    settings = {"format": "vpar-demo", "version": _VERSION, "seed": seed, "size": asdict(size)}
    if _claim(root, settings):
        return root
    cameras = [make_camera(default_rng((seed, _CAMERA, camera))) for camera in range(CAMERAS)]
    (root / "info").mkdir(exist_ok=True)
    plans = {split: _plan(split, size, seed) for split in _SPLITS}
    for split in _SPLITS:
        names = []
        for plan in plans[split]:
            rng = default_rng((seed, _SHOOTING, plan.person_id + 1, plan.number))
            names.append(_write_frames(root / f"bbox_{split}" / plan.folder, plan, size.frames, cameras, rng))
        _write_info(root / "info", split, plans[split], names)
    _write_labels(root / "mars_attributes.csv", [plan for split in _SPLITS for plan in plans[split]])
    (root / f"{_DONE}.partial").replace(root / _DONE)
    return root
