"""Draws one person from flat shapes, so that each attribute is large and clear.

How an attribute looks is a drawing convention, not a claim about people. Each has a mark of its own colour, which
random features can find: short sleeves show wristbands, short bottoms striped socks, skirts pleats, long hair
strands; gender 1 wears a sash; a balloon is young, headphones are a teenager, grey hair and a cane are old; a
collar is the front, a label the back; dust is running, two wheels are riding, one wheel is a motion that varies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import ImageDraw

from vpar_cache.datasets.demo.people import Colour, Person

TOP_COLOURS: Sequence[Colour] = (
    (24, 24, 28), (165, 60, 205), (60, 190, 70), (60, 110, 255), (140, 140, 142), (250, 250, 250), (255, 220, 40),
    (225, 30, 35),
)  # fmt: skip
BOTTOM_COLOURS: Sequence[Colour] = (
    (225, 222, 205), (95, 25, 125), (48, 46, 44), (20, 95, 40), (100, 104, 110), (255, 135, 190), (205, 165, 20),
    (25, 45, 140), (125, 72, 28),
)  # fmt: skip
"""By label value; the last value, complex, is striped."""
_TOP_STRIPES, _BOTTOM_STRIPES = ((0, 205, 205), (245, 245, 245)), ((25, 45, 140), (255, 135, 190))
_HAT, _BACKPACK, _BAG, _HAND_BAG = (235, 0, 130), (255, 110, 0), (75, 35, 15), (0, 50, 110)
_SASH, _SOCKS, _BALLOON = (
    ((255, 0, 255), (90, 0, 90)),
    ((255, 255, 255), (230, 0, 0)),
    ((255, 60, 60), (255, 240, 120)),
)
_COLLAR, _LABEL, _WRISTBAND, _HEADPHONES = (255, 170, 0), (170, 255, 255), (150, 255, 0), (0, 255, 160)
_STRAND, _PLEAT, _DUST, _CANE = (200, 120, 60), (70, 60, 70), (235, 225, 205), (95, 60, 25)
_GREY, _DARK = (200, 200, 205), (20, 20, 22)
_HEADS = (0.13, 0.105, 0.085, 0.085)
"""Half the height of the head by age; unit: the height of the person."""
_YOUNG, _TEENAGER, _OLD = 0, 1, 3
_FRONT, _LATERAL, _BACK, _VARIES_POSE = 0, 2, 4, 5
_WALKING, _RUNNING, _RIDING, _STAYING, _VARIES_MOTION = range(5)
_VIEWS = ((1.0, 0.0, False), (0.85, 0.4, False), (0.6, 0.8, False), (0.85, 0.9, True), (1.0, 0.0, True))
"""By pose: the width of the body, how far the head is turned to the side, whether the back is seen."""
_STRIDES = (0.1, 0.19, 0.1, 0.025)
"""How far the feet are from the middle, by motion."""
_Point = tuple[float, float]


def draw_person(pen: ImageDraw.ImageDraw, person: Person, foot: _Point, height: float, time: float) -> None:
    """Draw a person who stands at `foot` (pixels) and is `height` pixels tall, `time` (0 to 1) into the tracklet.

    The figure is at most 0.54 times as wide as it is tall.
    """
    has, brush = person.labels, _Brush(pen, foot, height)
    late = int(time >= 0.5)  # what varies changes here
    turning, changing = has["pose"] == _VARIES_POSE, has["motion"] == _VARIES_MOTION
    pose = (_FRONT, _BACK)[late] if turning else has["pose"]
    motion = (_STAYING, _WALKING)[late] if changing else has["motion"]
    wide, turn, behind = _VIEWS[pose]
    turn *= -1 if person.mirrored else 1
    head = _HEADS[has["age"]]
    neck, crown = 1 - 2 * head, 1 - head  # crown: the middle of the head
    hip = 0.56 * neck
    waist, knee = (neck + hip) / 2, hip / 2
    top = TOP_COLOURS[has["top color"] :][:1] or _TOP_STRIPES
    bottom = BOTTOM_COLOURS[has["bottom color"] :][:1] or _BOTTOM_STRIPES
    hair = _GREY if has["age"] == _OLD else person.hair
    shoulders, middle, hips = [wide * w for w in ((0.135, 0.11, 0.085), (0.09, 0.08, 0.13))[has["gender"]]]
    step = _STRIDES[motion] * (1.0, 0.75)[int(4 * time) % 2]

    if has["age"] == _YOUNG:
        brush.limb((-0.21, 0.72), (-0.21, 0.45), 0.006, 0.006, _DARK)
        brush.limb((-0.21, 0.93), (-0.21, 0.72), 0.06, 0.05, *_BALLOON)
    if has["backpack"] and not behind:
        brush.limb((-0.13 * turn, neck), (-0.13 * turn, hip + 0.06), 0.17, 0.17, _BACKPACK)
    if has["hair"] and not behind:
        brush.hang(crown, neck - 0.16, 1.35 * head, 1.5 * head, hair, _STRAND)
    for side in (-1, 1):
        lift = 0.1 if motion == _RUNNING and side < 0 else 0.0
        thigh, bend = (side * 0.045, hip), (side * (0.5 * step + 0.045), knee + 0.4 * lift)
        ankle = (side * (step + 0.03), 0.03 + lift)
        brush.limb(thigh, bend, 0.042, 0.04, person.skin)
        brush.limb(bend, ankle, 0.04, 0.034, *(_SOCKS if has["bottom length"] else (person.skin,)))
        if has["bottom type"]:
            brush.limb(thigh, bend, 0.05, 0.046, *bottom)
            if not has["bottom length"]:
                brush.limb(bend, ankle, 0.046, 0.042, *bottom)
        brush.disc((ankle[0] + 0.01, ankle[1] - 0.005), 0.042, 0.022, _DARK)
        if motion == _RIDING or (changing and side > 0):
            brush.disc((side * 0.135, 0.11), 0.11, 0.11, None)  # a wheel
        out, down = (0.11, neck - 0.16) if motion == _RUNNING else (0.06, hip)
        shoulder, hand = (side * (shoulders + 0.01), neck - 0.03), (side * (shoulders + out), down)
        elbow = ((shoulder[0] + hand[0]) / 2, (shoulder[1] + hand[1]) / 2)
        brush.limb(shoulder, hand, 0.032, 0.032, person.skin)
        brush.limb(shoulder, elbow if has["top length"] else hand, 0.04, 0.038, *top)
        if has["top length"]:
            brush.limb((hand[0], down + 0.05), (hand[0], down), 0.04, 0.04, _WRISTBAND)
    if motion == _RUNNING:
        for x in (-0.2, 0.2):
            brush.disc((x, 0.01), 0.06, 0.03, _DUST)
    if not has["bottom type"]:
        hem = knee if has["bottom length"] else 0.09
        brush.hang(hip + 0.01, hem, 0.09, 0.14 + 0.4 * step, *bottom, _PLEAT)
    brush.limb((0, neck), (0, waist), shoulders, middle, *top)
    brush.limb((0, waist), (0, hip), middle, hips, *top)
    if has["gender"]:
        brush.limb((0, hip + 0.07), (0, hip), hips, hips, *_SASH)
    if not behind:
        brush.limb((0.08 * turn, neck), (0.11 * turn, neck - 0.14), 0.07 * wide, 0.02, _COLLAR)
    elif not has["backpack"]:
        brush.limb((-0.03 * turn, neck - 0.03), (-0.03 * turn, waist), 0.05, 0.05, _LABEL)
    if has["backpack"] and behind:
        brush.limb((-0.03 * turn, neck - 0.01), (-0.03 * turn, hip + 0.06), 0.12, 0.12, _BACKPACK)
    elif has["backpack"]:
        for x in (-0.75 * shoulders, 0.75 * shoulders):
            brush.limb((x, neck), (x, waist), 0.022, 0.022, _BACKPACK)
    if has["shoulder bag"]:
        brush.limb((-shoulders, neck), (0.13, hip), 0.016, 0.016, _BAG)
        brush.limb((0.16, hip + 0.05), (0.16, hip - 0.09), 0.065, 0.065, _BAG)
    if has["hand bag"]:
        brush.limb((-0.19, hip - 0.02), (-0.19, hip - 0.15), 0.065, 0.065, _HAND_BAG)
    brush.disc((0, crown), 0.85 * head, head, hair)
    if behind == turning:  # who turns looks the other way first
        face = (1 - 0.25 * abs(turn)) * 0.76 * head
        brush.disc((0.21 * turn * head, crown - 0.22 * head), face, 0.8 * head, person.skin)
        for eye in (-0.3, 0.3) if pose != _LATERAL else (0.3 * turn,):
            brush.disc((head * (0.5 * turn + eye), crown - 0.1 * head), 0.13 * head, 0.13 * head, _DARK)
    elif turn:
        brush.disc((0.7 * turn * head, crown - 0.2 * head), 0.25 * head, 0.5 * head, person.skin)
    if has["hair"] and behind:
        brush.hang(crown, neck - 0.16, 1.1 * head, 1.5 * head, hair, _STRAND)
    if has["age"] == _TEENAGER:
        for x in (-0.9 * head, 0.9 * head):
            brush.disc((x, crown - 0.1 * head), 0.035, 0.05, _HEADPHONES)
    if has["hat"]:
        brush.limb((0, crown + 0.4 * head), (0, crown + 0.4 * head - 0.025), 0.13, 0.13, _HAT)
        brush.limb((0, 1.035), (0, crown + 0.4 * head), 0.085, 0.095, _HAT)
    if has["age"] == _OLD:
        brush.limb((0.225, hip), (0.225, 0), 0.014, 0.014, _CANE)


class _Brush:
    """Shapes in the person's units: x to the side, y up from the ground, 1 is the person's height."""

    def __init__(self, pen: ImageDraw.ImageDraw, foot: _Point, height: float) -> None:
        self.pen, self.foot, self.height = pen, foot, height

    def limb(self, start: _Point, end: _Point, wide: float, wide_end: float, *fill: Colour) -> None:
        """Draw a bar from start to end with these half widths; several colours alternate along it."""
        (x, y), dx, dy = start, end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy)
        count = 1 if len(fill) == 1 else max(2, round(length / 0.045))
        for i in range(count):
            corners = []
            for share, sign in ((i, 1), (i + 1, 1), (i + 1, -1), (i, -1)):
                half = sign * (wide + share / count * (wide_end - wide)) / length
                corners.append(
                    self._pixel((x + share / count * dx - half * dy, y + share / count * dy + half * dx))
                )
            self.pen.polygon(corners, fill=fill[i % len(fill)])

    def hang(self, high: float, low: float, wide: float, wide_end: float, *fill: Colour) -> None:
        """Draw cloth or hair that hangs down, in upright strips of alternating colours."""
        count = 11
        for i in range(count):
            part = (2 * i + 1) / count - 1
            start, end = (part * wide, high), (part * wide_end, low)
            self.limb(start, end, wide / count, wide_end / count, fill[i % len(fill)])

    def disc(self, centre: _Point, wide: float, high: float, colour: Colour | None) -> None:
        """Draw an ellipse of these half axes; without a colour, a dark ring."""
        (x, y), a, b = self._pixel(centre), wide * self.height, high * self.height
        ring = None if colour else _DARK
        self.pen.ellipse((x - a, y - b, x + a, y + b), colour, ring, round(0.025 * self.height))

    def _pixel(self, point: _Point) -> _Point:
        return self.foot[0] + self.height * point[0], self.foot[1] - self.height * point[1]
