"""Draws one labelled pedestrian of the procedural dataset: body, clothes and what it carries.

How an attribute looks is a drawing convention, with no claim about people: "gender" is a straight outline
with broad shoulders (0) or a narrow waist with broad hips (1), "old" is grey hair, a stoop and a cane,
"young" a small body with a big head. MARS gives 14 groups, and each must be visible in the picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import ImageDraw

from vpar_cache.datasets.demo.sketch import Colour, Fill, Point, Sketch, View, between, hang, two_bones

TOP_COLOURS: tuple[Colour, ...] = (
    (24, 24, 28), (130, 40, 170), (35, 150, 55), (35, 75, 210), (128, 128, 130), (244, 244, 242),
    (248, 212, 35), (208, 28, 35),
)  # fmt: skip
"""By value of "top color"; the last value, complex, takes Traits.bands."""
BOTTOM_COLOURS: tuple[Colour, ...] = (
    (244, 244, 242), (130, 40, 170), (24, 24, 28), (35, 150, 55), (128, 128, 130), (248, 130, 188),
    (248, 212, 35), (35, 75, 210), (112, 66, 28),
)  # fmt: skip
"""By value of "bottom color", likewise."""
_OLD = 3
_HEIGHT_AND_HEAD = ((0.62, 1.55), (0.80, 1.2), (1.0, 1.0), (0.95, 1.0))
"""By value of "age"."""
_GREY_HAIR = (205, 205, 210)
_FRAME, _TYRE = (190, 60, 40), (45, 46, 50)
_CANE = (90, 55, 25)
_HIP, _SHOULDER = 0.51, 0.81
_THIGH, _SHIN, _UPPER_ARM, _FOREARM = 0.235, 0.225, 0.16, 0.15


@dataclass(frozen=True)
class Traits:
    """What tells apart two people of equal labels."""

    skin: Colour
    hair: Colour
    shoes: Colour
    hat: Colour
    shoulder_bag: Colour
    backpack: Colour
    hand_bag: Colour
    bands: tuple[Colour, ...]
    """The colours of complex clothes."""
    height: float = 1.0
    girth: float = 1.0


@dataclass(frozen=True)
class _Gait:
    """Angles in degrees."""

    swing: float
    """Of thigh and upper arm, to either side."""
    knee: float
    """Bend of the leg that is behind."""
    elbow: float
    lean: float


GAITS = {
    "walking": _Gait(swing=25, knee=30, elbow=20, lean=2),
    "running": _Gait(swing=48, knee=85, elbow=85, lean=14),
    "riding": _Gait(swing=0, knee=0, elbow=0, lean=20),
    "staying": _Gait(swing=0, knee=0, elbow=6, lean=0),
}


def draw_figure(
    pen: ImageDraw.ImageDraw, view: View, labels: Mapping[str, int], traits: Traits, gait: str, phase: float
) -> None:
    """Paint one moment of a person; `phase` is that of the step, in radians.

    The labels "pose" and "motion" are the caller's to show: by view.yaw and `gait`.
    """
    _Figure(view, labels, traits, gait, phase).sketch.paint(pen)


class _Figure:
    """Builds the sketch of a person: joints first, then one method for each thing to see."""

    def __init__(self, view: View, labels: Mapping[str, int], traits: Traits, gait: str, phase: float) -> None:
        height, head = _HEIGHT_AND_HEAD[labels["age"]]
        self.labels, self.traits, self.phase = labels, traits, phase
        self.riding = gait == "riding"
        self.gait = GAITS[gait]
        self.old = labels["age"] == _OLD
        self.sketch = Sketch(view, height * traits.height)
        self.radius = 0.075 * head
        self.top: Fill = (*((c,) for c in TOP_COLOURS), traits.bands)[labels["top color"]]
        self.bottom: Fill = (*((c,) for c in BOTTOM_COLOURS), traits.bands[::-1])[labels["bottom color"]]
        shoulder, waist, hip = (0.118, 0.078, 0.135) if labels["gender"] else (0.155, 0.120, 0.105)
        self.shoulder, self.waist, self.hip = (width * traits.girth for width in (shoulder, waist, hip))
        self.seat = -0.07 if self.riding else 0.0
        self.legs = [self._leg(side) for side in (-1, 1)]
        if not self.riding:
            self.sketch.stand_on(min(leg[2][1] for leg in self.legs) - 0.035)
        self.arms = [self._arm(side) for side in (-1, 1)]
        self._draw_legs()
        self._draw_torso()
        self._draw_arms()
        self._draw_head()
        self._draw_bags()
        if self.riding:
            self._draw_bicycle()

    def _lean(self, point: Point) -> Point:
        """The upper body leans ahead around the hip: when running, riding or old."""
        angle = math.radians(self.gait.lean + (20 if self.old else 0))
        x, up, z = point[0], point[1] - _HIP, point[2]
        return (
            x,
            _HIP + up * math.cos(angle) - z * math.sin(angle),
            self.seat + up * math.sin(angle) + z * math.cos(angle),
        )

    def _leg(self, side: int) -> tuple[Point, Point, Point]:
        hip = (side * 0.55 * self.hip, _HIP, self.seat)
        swing = side * math.sin(self.phase)
        if self.riding:
            turn = self.phase + (math.pi if side > 0 else 0)
            foot = (hip[0], 0.15 + 0.07 * math.cos(turn), 0.07 * math.sin(turn))
            return hip, two_bones(hip, foot, _THIGH, _SHIN), foot
        angle = self.gait.swing * swing + (6 if self.old else 0)
        knee = hang(hip, _THIGH, angle)
        bend = self.gait.knee * max(0.0, -swing) + (12 if self.old else 0) + 0.12 * self.gait.knee
        return hip, knee, hang(knee, _SHIN, angle - bend)

    def _arm(self, side: int) -> tuple[Point, Point, Point]:
        shoulder = self._lean((side * self.shoulder, _SHOULDER - 0.02, 0.0))
        outward = side * 0.022
        swing = -side * self.gait.swing * math.sin(self.phase)
        bend = self.gait.elbow
        if self.riding:
            swing, bend = 48, 22
        elif self.old and side > 0:
            swing, bend = 15, 40
        elbow = hang(shoulder, _UPPER_ARM, swing)
        hand = hang(elbow, _FOREARM, swing + bend)
        return shoulder, (elbow[0] + outward, *elbow[1:]), (hand[0] + outward, *hand[1:])

    def _draw_legs(self) -> None:
        skin, short = (self.traits.skin,), self.labels["bottom length"]
        for hip, knee, ankle in self.legs:
            heel, toe = ((ankle[0], ankle[1] - 0.012, ankle[2] + z) for z in (-0.01, 0.075))
            self.sketch.limb([heel, toe], 0.024, (self.traits.shoes,), -0.16)
            self.sketch.limb([hip, knee, ankle], 0.034, skin, -0.19)
            if self.labels["bottom type"]:
                line = [hip, between(hip, knee, 0.72)] if short else [hip, knee, ankle]
                self.sketch.limb(line, 0.052, self.bottom, -0.18, anchor=(hip, knee, ankle))
        if not self.labels["bottom type"]:
            self._draw_skirt(0.30 if short else 0.10)

    def _draw_skirt(self, hem: float) -> None:
        """It hangs over the legs, and opens with the step."""
        ahead = [self.legs[0][1][2], self.legs[1][1][2]]
        middle, spread = sum(ahead) / 2, abs(ahead[0] - ahead[1]) / 2
        flare = (_HIP - hem) * 0.15
        levels = [
            ((0.0, _HIP + 0.08, self.seat), self.waist, 0.085),
            ((0.0, _HIP - 0.03, self.seat + 0.3 * (middle - self.seat)), self.hip + 0.02, 0.11),
            ((0.0, hem, middle), self.hip + flare, 0.10 + flare + 0.5 * spread),
        ]
        nearest_leg = max(sum(map(self.sketch.depth, leg)) / 3 for leg in self.legs)
        self.sketch.column(levels, self.bottom, max(-0.04, nearest_leg - 0.17), anchor=[(0.0, 0.0, 0.0)])

    def _draw_torso(self) -> None:
        girth = self.traits.girth
        levels = [
            ((0.0, _SHOULDER + 0.035, 0.0), 0.045, 0.045),
            ((0.0, _SHOULDER, 0.0), self.shoulder, 0.065 * girth),
            ((0.0, 0.73, 0.0), 0.94 * self.shoulder, 0.085 * girth),
            ((0.0, 0.62, 0.0), self.waist, 0.078 * girth),
            ((0.0, _HIP - 0.01, 0.0), self.hip + 0.006, 0.09 * girth),
        ]
        self.sketch.column([(self._lean(centre), w, d) for centre, w, d in levels], self.top)

    def _draw_arms(self) -> None:
        short = self.labels["top length"]
        for shoulder, elbow, hand in self.arms:
            self.sketch.limb([shoulder, elbow, hand], 0.027, (self.traits.skin,), 0.117)
            self.sketch.disc(hand, 0.032, 0.036, self.traits.skin, 0.119, anchor=(shoulder, elbow, hand))
            sleeve = [shoulder, elbow, between(elbow, hand, 0.75)]
            if short:
                sleeve = [shoulder, between(shoulder, elbow, 0.55)]
            self.sketch.limb(sleeve, 0.036, self.top, 0.118, anchor=(shoulder, elbow, hand))

    def _draw_head(self) -> None:
        sketch, r, traits = self.sketch, self.radius, self.traits
        hair = _GREY_HAIR if self.old else traits.hair
        x, y, z = centre = self._lean((0.0, _SHOULDER + 0.045 + r, 0.01))
        sketch.limb([self._lean((0.0, _SHOULDER, 0.0)), centre], 0.035, (traits.skin,), -0.01)
        sketch.disc(centre, 1.04 * r, 1.1 * r, hair, 0.05)
        if sketch.cos > -0.8:
            face = (x, y - 0.16 * r, z + 0.55 * r)
            sketch.disc(face, (0.42 + 0.42 * sketch.cos) * r, 0.88 * r, traits.skin, 0.06)
            sketch.disc((x, y - 0.2 * r, z + r), 0.15 * r, 0.15 * r, traits.skin, 0.07)
        for side in (-1, 1):
            eye = (x + side * 0.38 * r, y + 0.02 * r, z + 0.9 * r)
            if sketch.depth(eye) - sketch.depth(centre) > 0.15 * r:
                sketch.disc(eye, 0.11 * r, 0.13 * r, (20, 20, 25), 0.08)
        if self.labels["hair"]:
            self._draw_long_hair(centre, hair)
        if self.labels["hat"]:
            sketch.disc(
                (x, y + 0.35 * r, z + 0.55 * r), (0.9 + 0.35 * abs(sketch.sin)) * r, 0.2 * r, traits.hat, 0.09
            )
            sketch.dome((x, y + 0.3 * r, z), 1.15 * r, traits.hat, 0.1)

    def _draw_long_hair(self, head: Point, hair: Colour) -> None:
        """A curtain at the back and a strand on either side, down to the chest."""
        r = self.radius
        x, y, z = head
        low = self._lean((0.0, _SHOULDER - 0.10, -0.06))
        levels = [
            ((x, y + 0.5 * r, z - 0.3 * r), 0.8 * r, 0.6 * r),
            ((x, y, z - 0.4 * r), 1.1 * r, 0.6 * r),
            (low, 1.25 * r, 0.6 * r),
        ]
        self.sketch.column(levels, (hair,), 0.01)
        for side in (-1, 1):
            chest = self._lean((side * 1.05 * r, _SHOULDER - 0.06, 0.04))
            self.sketch.limb([(x + side * 0.9 * r, y, z), chest], 0.22 * r, (hair,), 0.065)

    def _draw_bags(self) -> None:
        sketch, traits = self.sketch, self.traits
        if self.labels["backpack"]:
            for x in (-0.075, 0.075):
                strap = [(x, _SHOULDER + 0.02, 0.01), (1.1 * x, 0.76, 0.09), (1.15 * x, 0.60, 0.085)]
                sketch.limb([self._lean(point) for point in strap], 0.016, (traits.backpack,), 0.02)
            sketch.bag(self._lean((0.0, 0.70, -0.155)), (0.115, 0.15, 0.085), traits.backpack)
        if self.labels["shoulder bag"]:
            for z in (0.1, -0.1):
                strap = [(0.08, _SHOULDER + 0.02, 0.0), (-0.03, 0.69, z), (-0.14, 0.53, 0.2 * z)]
                sketch.limb([self._lean(point) for point in strap], 0.013, (traits.shoulder_bag,), 0.03)
            side = self._lean((-self.hip - 0.05, 0.50, -0.03))
            sketch.bag(side, (0.05, 0.075, 0.085), traits.shoulder_bag, 0.15)
        if self.labels["hand bag"]:
            x, y, z = self.arms[0][2]
            for d in (-0.05, 0.05):
                sketch.limb([(x, y, z), (x, y - 0.07, z + d)], 0.008, (traits.hand_bag,), 0.12)
            sketch.bag((x, y - 0.125, z), (0.06, 0.07, 0.085), traits.hand_bag, 0.13)
        if self.old and not self.riding:
            x, y, z = self.arms[1][2]
            sketch.limb([(x, y + 0.02, z), (x + 0.02, 0.03, z + 0.05)], 0.012, (_CANE,), 0.1)

    def _draw_bicycle(self) -> None:
        sketch, hands = self.sketch, [arm[2] for arm in self.arms]
        turn = [2 * math.pi * i / 24 for i in range(25)]
        for hub in (-0.21, 0.21):
            tyre = [(0.0, 0.15 + 0.145 * math.cos(a), hub + 0.145 * math.sin(a)) for a in turn]
            sketch.limb(tyre, 0.013, (_TYRE,), -0.2)
        head, seat = (0.0, 0.42, 0.15), (0.0, 0.47, self.seat)
        pedal = (0.0, 0.15, 0.0)
        for line in (
            [head, pedal, seat, head],
            [(0.0, 0.15, -0.21), pedal],
            [(0.0, 0.15, 0.21), head, (0.0, 0.55, 0.14)],
            hands,
        ):
            sketch.limb(line, 0.014, (_FRAME,), -0.18)
