"""Writes the demo dataset: drawn pedestrians in the layout of MARS.

All 43 outputs can be seen and occur in both splits; train and test show different people. Of the quality flags,
occlusion, cut-out, multi-person and background-dominant are drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng
from PIL import Image, ImageDraw

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.datasets.demo.people import Person, balanced, cast_people
from vpar_cache.datasets.demo.person_drawing import draw_person
from vpar_cache.errors import UserError

TALL, GROUND = 0.9, 0.965
"""Where a person stands in a crop: the height, and the foot below the top edge, as shares of the crop's height."""
_WIDTH, _HEIGHT = 256, 512
"""Of a drawing; the crop is half as large."""
_POSES, _MOTIONS = (0.18, 0.16, 0.18, 0.16, 0.18, 0.14), (0.3, 0.2, 0.2, 0.15, 0.15)
_FLAGS = ("", "occlusion", "cut-out", "multi-person", "background-dominant")
_CAMERAS = (((150, 140, 120), (120, 112, 98)), ((96, 140, 100), (76, 116, 80)), ((112, 122, 148), (88, 96, 120)))
"""Colours of wall and ground."""


@dataclass(frozen=True)
class DemoSize:
    """How much to draw: 20 people in a split show every output."""

    train_people: int = 170
    test_people: int = 40
    tracklets_per_person: int = 2
    frames: int = 4
    """In each tracklet."""


@dataclass(frozen=True)
class _Plan:
    """One tracklet to draw."""

    person_id: int
    camera: int
    number: int
    people: tuple[Person, ...]
    """The labelled person first."""
    flag: str

    def keys(self) -> list[int]:
        return [self.person_id, self.camera, self.number, *(int(flag == self.flag) for flag in MARS.quality)]


def write_demo(root: Path, size: DemoSize, seed: int) -> Path:
    """Draw a dataset below `root` and return `root`; the same size and seed give the same bytes.

    `demo.json` is written last. A finished dataset of the same settings is kept. Raises UserError where the
    folder holds anything else.
    """
    text = json.dumps({"version": 2, "seed": seed, "size": asdict(size)}, indent=1) + "\n"
    done, begun = root / "demo.json", root / "demo.json.partial"
    try:
        root.mkdir(parents=True, exist_ok=True)
        kept = {path: path.read_text("utf-8") == text for path in (done, begun) if path.is_file()}
        if kept.get(done):
            return root
        if not kept.get(begun) and any(root.iterdir()):
            raise UserError(f"{root}: got a folder with other contents; expected an empty one. Give a new folder")
        begun.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{root}: {error.strerror}; expected a folder to write to. Give a new folder") from error
    train = _plan(1, size.train_people, size.tracklets_per_person, default_rng((seed, 0)))
    test = _plan(1 + size.train_people, size.test_people, size.tracklets_per_person, default_rng((seed, 1)))
    for split, plans in (("train", train), ("test", test)):
        _write_split(root, split, plans, size.frames, seed)
    keys = ("person_id", "camera_id", "tracklets_id", *MARS.quality)
    write_labels(root / "mars_attributes.csv", keys, [(plan.people[0], plan.keys()) for plan in train + test])
    begun.replace(done)
    return root


def write_labels(path: Path, keys: Sequence[str], rows: Iterable[tuple[Person, Sequence[int]]]) -> None:
    """Write a label file: in each row the keys, then the person's label values in the columns of MARS."""
    groups = [group.name for group in MARS.groups]
    lines = [(*keys, *groups)] + [(*values, *(who.labels[name] for name in groups)) for who, values in rows]
    path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines), "ascii", newline="\n")


def _plan(first_id: int, people: int, each: int, rng: Generator) -> list[_Plan]:
    """Return `each` tracklets of every new person, spread over the cameras, numbered per person."""
    cast, count = cast_people(people, rng), people * each
    poses, motions = (balanced(shares, count, rng).tolist() for shares in (_POSES, _MOTIONS))
    flags = balanced((0.8, 0.05, 0.05, 0.05, 0.05), count, rng)  # (count,)
    plans = []
    for row in range(count):
        (index, number), flag = divmod(row, each), _FLAGS[flags[row]]
        move, mirrored = {"pose": poses[row], "motion": motions[row]}, bool(rng.integers(2))
        actors = (cast[index], cast[index - 1])[: 1 + (flag == "multi-person")]
        moving = tuple(replace(actor, labels={**actor.labels, **move}, mirrored=mirrored) for actor in actors)
        plans.append(_Plan(first_id + index, 1 + (index + number) % len(_CAMERAS), number + 1, moving, flag))
    return plans


def _write_split(root: Path, split: str, plans: Sequence[_Plan], frames: int, seed: int) -> None:
    """Write the frames, the name list and the track table of a split."""
    from scipy.io import savemat  # here: reading a dataset does not need it

    names: list[str] = []
    tracks = []
    for plan in plans:
        rng = default_rng((seed, plan.person_id, plan.number))
        folder = root / f"bbox_{split}" / f"{plan.person_id:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        tracks.append((len(names) + 1, len(names) + frames, plan.person_id, plan.camera))
        for i in range(frames):
            names.append(f"{plan.person_id:04d}C{plan.camera}T{plan.number:04d}F{i + 1:03d}.jpg")
            _draw_crop(plan, i / frames, rng).save(folder / names[-1], quality=92)
    (root / "info").mkdir(exist_ok=True)
    (root / f"info/{split}_name.txt").write_text("".join(f"{name}\n" for name in names), "ascii", newline="\n")
    table = root / f"info/tracks_{split}_info.mat"
    savemat(table, {f"track_{split}_info": np.array(tracks, dtype=np.int32)})  # (N, 4)
    with table.open("r+b") as file:  # over the time and the platform, so that a seed gives the same bytes
        file.write(b"MATLAB 5.0 MAT-file, written by vpar-cache".ljust(116))


def _draw_crop(plan: _Plan, time: float, rng: Generator) -> Image.Image:
    """Return a crop of 128 x 256 pixels, `time` (0 to 1) into the tracklet."""
    wall, ground = _CAMERAS[plan.camera - 1]
    image = Image.new("RGB", (_WIDTH, _HEIGHT), wall)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0.8 * _HEIGHT, _WIDTH, _HEIGHT), fill=ground)
    x, y = np.array((0.5 * _WIDTH, GROUND * _HEIGHT)) + rng.uniform(-4, 4, 2)  # a detector's box is not steady
    far = plan.flag == "background-dominant"
    x, y, tall = x + 0.2 * _WIDTH * (plan.flag == "cut-out"), y - 40 * far, TALL * _HEIGHT * (1 - 0.25 * far)
    for other in plan.people[1:]:
        draw_person(pen, other, (x - 0.35 * _WIDTH, y - 0.04 * _HEIGHT), 0.85 * tall, time)
    draw_person(pen, plan.people[0], (x, y), tall, time)
    if plan.flag == "occlusion":
        post = _WIDTH * (0.1 + 0.6 * time)
        pen.rectangle((post, 0, post + 0.15 * _WIDTH, _HEIGHT), fill=(90, 85, 80))
    return image.reduce(2)
