"""Who appears in the procedural dataset: people and tracklets with their labels, drawn by a seed.

Every label value gets its share of the people (a balanced draw, not an independent one), so that a small
dataset shows all 43 outputs in both splits, and none is a coin toss that a constant would predict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vpar_cache.datasets.demo.figures import BOTTOM_COLOURS, TOP_COLOURS, Traits
from vpar_cache.datasets.demo.scenes import Person
from vpar_cache.datasets.demo.sketch import Colour

CAMERAS = 3

_PERSON_SHARES: Mapping[str, tuple[float, ...]] = {
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
"""How many of the people have each label value: at least 1 in 20, so that 20 people show all."""
_TRACKLET_SHARES: Mapping[str, tuple[float, ...]] = {
    "pose": (0.17, 0.17, 0.18, 0.17, 0.18, 0.13),
    "motion": (0.45, 0.14, 0.14, 0.15, 0.12),
}
_WITH_GENDER = {"hair": 1, "bottom type": -1}
"""Groups that lean on gender, as they do in MARS."""
_FLAG_SHARES = {"occlusion": 0.10, "cut-out": 0.08, "multi-person": 0.08, "background-dominant": 0.10}

_SKINS: tuple[Colour, ...] = (
    (240, 200, 168), (226, 176, 138), (198, 144, 104), (150, 100, 68), (104, 68, 46),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = ((22, 18, 18), (58, 38, 24), (104, 66, 36), (214, 176, 96), (150, 66, 34))
_SHOES: tuple[Colour, ...] = ((30, 28, 30), (84, 52, 32), (225, 225, 225))
_ACCENTS: tuple[Colour, ...] = (
    (20, 135, 140), (235, 120, 30), (150, 95, 45), (200, 40, 110), (90, 185, 60), (30, 45, 90), (225, 205, 150),
)  # fmt: skip
"""Of hats and bags."""


@dataclass(frozen=True)
class Plan:
    """One tracklet to draw."""

    person_id: int
    camera: int
    number: int
    people: tuple[Person, ...]
    """The labelled person first; none in a false alarm."""
    flags: frozenset[str] = frozenset()
    """The quality flags that are 1."""


def plan_tracklets(first_id: int, people: int, each: int, rng: Generator) -> list[Plan]:
    """`each` tracklets for every new person, spread over the cameras, numbered per person as in MARS."""
    cast = cast_people(people, rng)
    count = people * each
    moves = {name: _balanced(shares, count, rng) for name, shares in _TRACKLET_SHARES.items()}
    flags = {name: _balanced((1 - share, share), count, rng) for name, share in _FLAG_SHARES.items()}
    plans = []
    for row in range(count):
        index, number = divmod(row, each)
        camera = 1 + sorted((index + i) % CAMERAS for i in range(each))[number]
        move = {name: int(column[row]) for name, column in moves.items()}
        shown = frozenset(name for name, column in flags.items() if column[row])
        actors = [cast[index]]
        if "multi-person" in shown:
            actors.append(cast[index - 1])
        moving = tuple(Person({**actor.labels, **move}, actor.traits) for actor in actors)
        plans.append(Plan(first_id + index, camera, number + 1, moving, shown))
    return plans


def plan_unlabelled(distractors: int, junk: int, rng: Generator) -> list[Plan]:
    """What MARS's test split holds besides: junk (person -1, a false alarm) and distractors (person 0)."""
    false_alarms = [Plan(-1, 1 + i % CAMERAS, i + 1, ()) for i in range(junk)]
    others = plan_tracklets(0, distractors, 1, rng)
    strangers = [Plan(0, 1 + i % CAMERAS, i + 1, plan.people) for i, plan in enumerate(others)]
    return false_alarms + strangers


def cast_people(count: int, rng: Generator) -> list[Person]:
    """People with the labels that belong to a person: all but pose and motion."""
    gender = _balanced(_PERSON_SHARES["gender"], count, rng)
    columns = {"gender": gender}
    for name, shares in _PERSON_SHARES.items():
        if name != "gender":
            columns[name] = _balanced(shares, count, rng, _WITH_GENDER.get(name, 0) * gender)
    rows = [{name: int(column[i]) for name, column in columns.items()} for i in range(count)]
    return [Person(row, _draw_traits(row, rng)) for row in rows]


def _balanced(
    shares: Sequence[float], count: int, rng: Generator, leaning: NDArray[np.int64] | int = 0
) -> NDArray[np.int64]:
    """(count,) values in their shares; a value whose share is 1 / count or more is sure to occur.

    High values tend to go where `leaning` is high.
    """
    at = (np.arange(count) + rng.random()) / count  # one point in every count-th part of 0 .. 1
    values = np.searchsorted(np.cumsum(shares)[:-1], at, side="right")
    column = np.empty(count, dtype=np.int64)
    column[np.argsort(leaning + rng.normal(0.0, 0.5, count), kind="stable")] = values
    return column


def _draw_traits(labels: Mapping[str, int], rng: Generator) -> Traits:
    clothes = [*TOP_COLOURS[labels["top color"] :][:1], *BOTTOM_COLOURS[labels["bottom color"] :][:1]]
    accents = [accent for accent in _ACCENTS if all(_differ(accent, worn) for worn in clothes)]
    hat, shoulder_bag, backpack, hand_bag = (_one_of(accents, rng) for _ in range(4))
    vivid = [TOP_COLOURS[i] for i in rng.permutation(len(TOP_COLOURS))[:3]]
    return Traits(
        skin=_one_of(_SKINS, rng),
        hair=_one_of(_HAIRS, rng),
        shoes=_one_of(_SHOES, rng),
        hat=hat,
        shoulder_bag=shoulder_bag,
        backpack=backpack,
        hand_bag=hand_bag,
        bands=tuple(vivid),
        height=rng.uniform(0.96, 1.03),
        girth=rng.uniform(0.93, 1.08),
    )


def _differ(one: Colour, other: Colour) -> bool:
    """Enough to stand out against each other."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 140


def _one_of(colours: Sequence[Colour], rng: Generator) -> Colour:
    return colours[int(rng.integers(len(colours)))]
