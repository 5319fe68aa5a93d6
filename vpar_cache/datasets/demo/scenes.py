"""Draws the crops of one tracklet of the procedural dataset: backdrop, people, what stands before them, camera."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from vpar_cache.datasets.demo.figures import Traits, draw_figure
from vpar_cache.datasets.demo.sketch import Colour, View

WIDTH, HEIGHT = 128, 256
"""Of a crop, as in MARS."""
_FINE = 2
"""Everything is drawn this much larger, then averaged: edges without stairs."""
_W, _H = _FINE * WIDTH, _FINE * HEIGHT
_FULL = _H / 1.15
"""Pixels of an adult in a tight crop."""

_YAWS = (0.0, 45.0, 90.0, 135.0, 180.0)
"""By value of "pose"; the last value, varies, turns through all of them."""
_GAITS = ("walking", "running", "riding", "staying")
"""By value of "motion"; the last value, varies, goes through the next."""
_VARIES = ("staying", "walking", "running")
_STEP = {"walking": 0.9, "running": 1.3, "riding": 0.9, "staying": 0.0}
"""Phase of the gait between two frames."""
_ROOM = {"walking": 1.0, "running": 0.88, "riding": 0.86, "staying": 1.0}
"""Share of the full size, so that wide gaits fit into the crop."""


@dataclass(frozen=True)
class Person:
    """Labels by group name, and the looks that no label tells."""

    labels: Mapping[str, int]
    traits: Traits


@dataclass(frozen=True)
class Camera:
    """A place with its own light."""

    backdrop: Image.Image
    """Wider than a crop: the view slides over it."""
    gain: NDArray[np.float64]
    """(3,) factors on red, green, blue."""


def make_camera(rng: Generator) -> Camera:
    """A wall and a ground in muted colours, with clutter."""
    wall, ground = rng.integers(105, 205, 3), rng.integers(85, 165, 3)
    width, horizon = 5 * _W, int(_H * rng.uniform(0.45, 0.65))
    image = Image.new("RGB", (width, _H), _muted(wall, 0, rng))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, horizon, width, _H), fill=_muted(ground, 0, rng))
    for _ in range(22):  # windows and doors
        x, y, w, h = _whole(rng, (0, width), (0, horizon - 30), (30, 110), (40, 150))
        box = (x, y, x + w, min(y + h, horizon))
        pen.rectangle(box, fill=_muted(wall, 45, rng), outline=_muted(wall, 60, rng))
    for _ in range(30):  # marks on the ground
        x, y, w, h = _whole(rng, (0, width), (horizon, _H), (30, 240), (3, 14))
        pen.rectangle((x, y, x + w, y + h), fill=_muted(ground, 30, rng))
    for _ in range(7):  # posts far away
        x, w = _whole(rng, (0, width), (6, 18))
        pen.rectangle((x, 0, x + w, horizon + 40), fill=_muted(wall, 60, rng))
    gain = rng.uniform(0.85, 1.05) * rng.uniform(0.94, 1.06, 3)
    return Camera(image.filter(ImageFilter.GaussianBlur(2)), gain)


def draw_tracklet(
    people: Sequence[Person], flags: Collection[str], frames: int, camera: Camera, rng: Generator
) -> list[Image.Image]:
    """The crops of the first person, with the others (if any) half hidden behind; no person: a false alarm.

    `flags` are the quality flags to show: occlusion, cut-out, background-dominant.
    """
    walks = [_Walk(person, rng, flags if i == 0 else (), beside=i) for i, person in enumerate(people)]
    pan, blur, lens = int(rng.integers(0, 4 * _W)), _blur(rng), _Lens(camera, rng)
    obstacle = _Obstacle(rng) if "occlusion" in flags else None
    crops = []
    for frame in range(frames):
        left = (pan + 5 * frame) % (4 * _W)
        image = camera.backdrop.crop((left, 0, left + _W, _H))
        pen = ImageDraw.Draw(image)
        for walk in reversed(walks):
            walk.draw(pen, frame, frames, rng)
        if obstacle:
            obstacle.draw(pen, frame / frames)
        crop = image.reduce(_FINE)
        crops.append(lens.take(crop.filter(blur) if blur else crop, rng))
    return crops


class _Walk:
    """One person over the frames."""

    def __init__(self, person: Person, rng: Generator, flags: Collection[str], beside: int) -> None:
        self.person = person
        self.mirrored = bool(rng.integers(2))
        self.phase = rng.uniform(0, 2 * np.pi)
        self.yaw = rng.uniform(-8, 8)
        self.scale = _FULL * rng.uniform(0.94, 1.03)
        self.foot = np.array([0.5 * _W, 0.945 * _H]) + rng.uniform(-6, 6, 2)
        if beside:
            self.scale *= 0.85
            self.foot += ((0.4 if self.mirrored else -0.4) * _W, -0.04 * _H)
        if "background-dominant" in flags:
            self.scale *= 0.72
            self.foot += (rng.uniform(-0.1, 0.1) * _W, -0.14 * _H)
        if "cut-out" in flags:
            self.scale *= 1.1
            self.foot += rng.choice([-0.3, 0.3]) * _W, rng.uniform(0.0, 0.12) * _H

    def draw(self, pen: ImageDraw.ImageDraw, frame: int, frames: int, rng: Generator) -> None:
        pose, motion = self.person.labels["pose"], self.person.labels["motion"]
        yaw = _YAWS[pose] if pose < len(_YAWS) else 180.0 * frame / max(1, frames - 1)
        gait = _GAITS[motion] if motion < len(_GAITS) else _VARIES[len(_VARIES) * frame // frames]
        self.phase += _STEP[gait]
        x, y = self.foot + rng.uniform(-4, 4, 2)  # the detector's box trembles
        view = View(yaw + self.yaw, (x, y), self.scale * _ROOM[gait], self.mirrored)
        draw_figure(pen, view, self.person.labels, self.person.traits, gait, self.phase)


class _Obstacle:
    """A post that passes, or a low barrier before the legs."""

    def __init__(self, rng: Generator) -> None:
        self.post = bool(rng.integers(2))
        self.colour = _muted(np.array([95, 95, 95]), 45, rng)
        self.size = int(rng.integers(40, 64) if self.post else rng.integers(70, 125))

    def draw(self, pen: ImageDraw.ImageDraw, time: float) -> None:
        box = (0, _H - self.size, _W, _H)
        if self.post:
            x = int(_W * (0.15 + 0.6 * time))
            box = (x, 0, x + self.size, _H)
        pen.rectangle(box, fill=self.colour, outline=(40, 40, 40), width=3)


class _Lens:
    """The camera's colour and noise."""

    def __init__(self, camera: Camera, rng: Generator) -> None:
        gain = camera.gain * rng.uniform(0.93, 1.05)
        levels = np.arange(256)
        self.table = [int(v) for factor in gain for v in np.clip(levels * factor, 0, 255)]
        self.margin = 32
        shape = (HEIGHT + self.margin, WIDTH + self.margin, 3)
        self.noise = rng.normal(0, rng.uniform(1.5, 5.0), shape).astype(np.int16)

    def take(self, crop: Image.Image, rng: Generator) -> Image.Image:
        dx, dy = rng.integers(0, self.margin, 2)
        pixels = np.asarray(crop.point(self.table), dtype=np.int16) + self.noise[dy : dy + HEIGHT, dx : dx + WIDTH]
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _whole(rng: Generator, *ranges: tuple[int, int]) -> list[int]:
    return [int(rng.integers(low, high)) for low, high in ranges]


def _blur(rng: Generator) -> ImageFilter.Filter | None:
    """None for most; else out of focus, or moved sideways."""
    kind = rng.integers(6)
    if kind == 0:
        return ImageFilter.GaussianBlur(rng.uniform(0.7, 1.4))
    if kind == 1:
        row = [0.0] * 10 + [1.0] * 5 + [0.0] * 10
        return ImageFilter.Kernel((5, 5), row)
    return None


def _muted(colour: NDArray[np.int64], spread: int, rng: Generator) -> Colour:
    """Near a colour, and half way to its grey."""
    near = np.clip(colour + rng.integers(-spread, spread + 1), 0, 255)
    red, green, blue = (near + near.mean()) / 2
    return int(red), int(green), int(blue)
