"""People of the demo with their labels, drawn at random by a seed; 20 people show all 43 outputs of MARS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Colour = tuple[int, int, int]

_SHARES: Mapping[str, tuple[float, ...]] = {
    "gender": (0.55, 0.45), "top length": (0.55, 0.45), "bottom length": (0.6, 0.4), "shoulder bag": (0.7, 0.3),
    "backpack": (0.7, 0.3), "hat": (0.7, 0.3), "hand bag": (0.7, 0.3), "hair": (0.6, 0.4),
    "bottom type": (0.4, 0.6), "top color": (0.14, 0.1, 0.1, 0.12, 0.1, 0.14, 0.1, 0.1, 0.1),
    "bottom color": (0.1, 0.08, 0.14, 0.08, 0.12, 0.1, 0.08, 0.12, 0.1, 0.08), "age": (0.2, 0.25, 0.3, 0.25),
}  # fmt: skip
"""How many of the people have each label value."""
_WITH_GENDER = {"hair": 1, "bottom type": -1}
"""Groups that correlate with gender, as they do in MARS."""
_SKINS: tuple[Colour, ...] = ((242, 204, 172), (226, 176, 138), (205, 150, 110))
_HAIRS: tuple[Colour, ...] = ((30, 20, 18), (70, 44, 26), (120, 60, 24))


@dataclass(frozen=True)
class Person:
    """Label values by group, and what tells apart two people of equal labels."""

    labels: Mapping[str, int]
    skin: Colour
    hair: Colour
    mirrored: bool = False


def cast_people(count: int, rng: Generator) -> list[Person]:
    """Return people with all labels but pose and motion."""
    gender = balanced(_SHARES["gender"], count, rng)  # (count,)
    columns = {"gender": gender}
    for name in list(_SHARES)[1:]:
        columns[name] = balanced(_SHARES[name], count, rng, _WITH_GENDER.get(name, 0) * gender)
    rows = [{name: int(column[i]) for name, column in columns.items()} for i in range(count)]
    return [Person(row, _SKINS[rng.integers(3)], _HAIRS[rng.integers(3)]) for row in rows]


def balanced(
    shares: Sequence[float], count: int, rng: Generator, leaning: NDArray[np.int64] | int = 0
) -> NDArray[np.int64]:
    """Return (count,) values in their shares; high values tend to go where `leaning` is high."""
    at = (np.arange(count) + rng.random()) / count  # (count,), one point in every count-th part of 0 .. 1
    column = np.empty(count, dtype=np.int64)
    order = np.argsort(leaning + rng.normal(0.0, 0.5, count), kind="stable")  # (count,)
    column[order] = np.searchsorted(np.cumsum(shares)[:-1], at, side="right")
    return column
