"""Shapes in space, turned, projected and painted from far to near: what the demo's figures are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import ImageDraw

Colour = tuple[int, int, int]
Fill = Sequence[Colour]
"""One colour, or several: they alternate as bands along the shape."""
Point = tuple[float, float, float]
"""x to the person's left, y up, z ahead; unit: the person's height."""
Level = tuple[Point, float, float]
"""A horizontal cross-section: centre, half width (x), half depth (z)."""
_Flat = tuple[float, float]

_TILT = 0.14
"""The camera looks down a little: what is nearer stands lower in the picture."""
_BANDS = 3
"""Bands in each segment of a shape of several colours."""


@dataclass(frozen=True)
class View:
    """Where the camera stands, and where the person stands in the picture."""

    yaw: float
    """Degrees: 0 faces the camera, 90 is seen from the side, 180 from the back."""
    foot: tuple[float, float]
    """Pixels: the ground below the person."""
    scale: float
    """Pixels per adult height."""
    mirrored: bool = False


class Sketch:
    """Collects shapes with their depth.

    Where the depth of its own points would mislead, a shape is sorted by its `anchor` (a sleeve with its
    arm), and `nearer` moves it towards the camera.
    """

    def __init__(self, view: View, height: float) -> None:
        self.foot = view.foot
        self.scale = view.scale * height
        self.cos, self.sin = math.cos(math.radians(view.yaw)), math.sin(math.radians(view.yaw))
        self.side = -1 if view.mirrored else 1
        self.shapes: list[tuple[float, Callable[[ImageDraw.ImageDraw], None]]] = []

    def paint(self, pen: ImageDraw.ImageDraw) -> None:
        """From far to near, so that what is behind hides by itself."""
        for _, draw in sorted(self.shapes, key=lambda shape: shape[0]):
            draw(pen)

    def stand_on(self, ground: float) -> None:
        """Shift the picture so that this height (y) is on the ground."""
        self.foot = self.foot[0], self.foot[1] + self.scale * ground

    def depth(self, point: Point) -> float:
        """Towards the camera."""
        return point[2] * self.cos - point[0] * self.sin

    def project(self, point: Point) -> _Flat:
        across = self.side * (point[0] * self.cos + point[2] * self.sin)
        below = point[1] - _TILT * self.depth(point)
        return self.foot[0] + self.scale * across, self.foot[1] - self.scale * below

    def limb(
        self,
        points: Sequence[Point],
        radius: float,
        fill: Fill,
        nearer: float = 0.0,
        anchor: Sequence[Point] = (),
    ) -> None:
        """A thick line with round joints and a dark edge."""
        line, width = [self.project(point) for point in points], radius * self.scale
        runs = [line] if len(fill) == 1 else _bands(line)

        def draw(pen: ImageDraw.ImageDraw) -> None:
            _stroke(pen, line, width + 1.5, _darker(fill[0]))
            for i, run in enumerate(runs):
                _stroke(pen, run, width, fill[i % len(fill)])

        self._add(anchor or points, nearer, draw)

    def column(
        self, levels: Sequence[Level], fill: Fill, nearer: float = 0.0, anchor: Sequence[Point] = ()
    ) -> None:
        """A body of elliptic cross-sections from top to bottom, with a dark edge."""
        left: list[_Flat] = []
        right: list[_Flat] = []
        for centre, width, depth in levels:
            (x, y), half = self.project(centre), self.scale * math.hypot(width * self.cos, depth * self.sin)
            left.append((x - half, y))
            right.append((x + half, y))
        edge = [*left, *reversed(right), left[0]]
        halves = [(left, right)] if len(fill) == 1 else list(zip(_bands(left), _bands(right), strict=True))

        def draw(pen: ImageDraw.ImageDraw) -> None:
            for i, (a, b) in enumerate(halves):
                pen.polygon([*a, *reversed(b)], fill=fill[i % len(fill)])
            _stroke(pen, edge, 1.0, _darker(fill[0]))

        self._add(anchor or [level[0] for level in levels], nearer, draw)

    def bag(self, centre: Point, half: Point, colour: Colour, nearer: float = 0.0) -> None:
        """A box with a narrower lid."""
        (x, y, z), (w, h, d) = centre, half
        lid = ((x, y + h, z), 0.7 * w, 0.7 * d)
        self.column([lid, ((x, y + 0.6 * h, z), w, d), ((x, y - h, z), w, d)], (colour,), nearer)

    def disc(
        self,
        centre: Point,
        width: float,
        height: float,
        colour: Colour,
        nearer: float = 0.0,
        anchor: Sequence[Point] = (),
    ) -> None:
        """A flat ellipse that always faces the camera."""
        (x, y), a, b = self.project(centre), width * self.scale, height * self.scale
        self._add(anchor or [centre], nearer, lambda pen: pen.ellipse((x - a, y - b, x + a, y + b), fill=colour))

    def dome(self, centre: Point, radius: float, colour: Colour, nearer: float = 0.0) -> None:
        """The upper half of a ball."""
        (x, y), r = self.project(centre), radius * self.scale
        box = (x - r, y - r, x + r, y + r)
        self._add([centre], nearer, lambda pen: pen.pieslice(box, 180, 360, fill=colour))

    def _add(self, points: Sequence[Point], nearer: float, draw: Callable[[ImageDraw.ImageDraw], None]) -> None:
        self.shapes.append((sum(map(self.depth, points)) / len(points) + nearer, draw))


def hang(start: Point, length: float, degrees: float) -> Point:
    """The end of a limb that hangs from `start`, swung ahead."""
    angle = math.radians(degrees)
    return start[0], start[1] - length * math.cos(angle), start[2] + length * math.sin(angle)


def two_bones(start: Point, end: Point, first: float, second: float) -> Point:
    """The knee between hip and foot: where both bones meet, ahead of the line."""
    dy, dz = end[1] - start[1], end[2] - start[2]
    reach = min(math.hypot(dy, dz), 0.999 * (first + second))
    inner = (first**2 + reach**2 - second**2) / (2 * first * reach)
    angle = math.degrees(math.atan2(dz, -dy) + math.acos(max(-1.0, min(1.0, inner))))
    return hang(start, first, angle)


def between(start: Point, end: Point, share: float) -> Point:
    """The point at a share of the way."""
    return (
        start[0] + share * (end[0] - start[0]),
        start[1] + share * (end[1] - start[1]),
        start[2] + share * (end[2] - start[2]),
    )


def _darker(colour: Colour) -> Colour:
    red, green, blue = colour
    return red * 5 // 9, green * 5 // 9, blue * 5 // 9


def _stroke(pen: ImageDraw.ImageDraw, line: Sequence[_Flat], radius: float, colour: Colour) -> None:
    pen.line(list(line), fill=colour, width=max(1, round(2 * radius)))
    for x, y in line:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _bands(line: Sequence[_Flat]) -> list[list[_Flat]]:
    """Every segment of a line in equal parts."""
    parts = []
    for (x0, y0), (x1, y1) in pairwise(line):
        steps = [i / _BANDS for i in range(_BANDS + 1)]
        at = [(x0 + (x1 - x0) * step, y0 + (y1 - y0) * step) for step in steps]
        parts += [[a, b] for a, b in pairwise(at)]
    return parts
