"""market_attribute.mat: the labels of each identity of Market-1501.

A struct with the structs `train` and `test`. Each holds `image_index`, the identities, and one field of numbers
for each attribute. The fields stand in another order in `train` than in `test`, so they are found by name. Values
are 1 or 2, of age 1 to 4. Of the fields of a color at most one is 2. For one identity in ten no top color is 2,
and for one in twenty no bottom color: they have another or several, and the file does not say which. Such a color
is unknown.

Source: Lin et al., "Improving Person Re-identification by Attribute and Identity Learning", 2019.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.market_table import COLORS, FIELDS, MARKET
from vpar_cache.base.matlab_file import Value, read_variables
from vpar_cache.datasets.tracklet import NEEDED_SPLITS, Split
from vpar_cache.errors import DataError

GET_LABELS = (
    "get market_attribute.mat from the authors of the attribute annotations (Lin et al. 2019) and put it into the "
    "root"
)
_STRUCT, _IDENTITIES = "market_attribute", "image_index"
_IDENTITY = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True, eq=False)
class IdentityLabels:
    """The labels of one person."""

    labels: NDArray[np.uint8]
    """(A,) of 0 and 1; 0 where unknown."""
    known: NDArray[np.bool_]
    """(A,)"""


def read_market_labels(path: Path) -> tuple[dict[Split, dict[int, IdentityLabels]], list[str]]:
    """Return the labels by split and identity, and a note on identities without a color. Raises DataError."""
    variables = read_variables(path)
    found = {split: _Part.find(path, variables, split) for split in NEEDED_SPLITS}
    labels: dict[Split, dict[int, IdentityLabels]] = {}
    without: Counter[tuple[str, str]] = Counter()
    for split, part in found.items():
        labels[split] = {}
        for number, identity in enumerate(part.identities):
            values = part.values_of(number)
            without.update((split, name) for name in COLORS if values[name] is None)
            labels[split][identity] = IdentityLabels(MARKET.encode(values), MARKET.known(values))
    counts = [
        f"no {name} of " + " and ".join(f"{without[split, name]} {split}" for split in labels)
        for name in COLORS
        if any(without[split, name] for split in labels)
    ]
    return labels, [f"{path.name} has {', '.join(counts)} identities: unknown"] if counts else []


@dataclass(frozen=True)
class _Part:
    """The struct of one split."""

    path: Path
    where: str
    identities: Sequence[int]
    """(n,)"""
    fields: Mapping[str, Sequence[int]]
    """By name, (n,) each."""

    @classmethod
    def find(cls, path: Path, variables: Mapping[str, Value], split: Split) -> _Part:
        where = f"{_STRUCT}.{split}"
        outer = variables.get(_STRUCT)
        struct = outer.get(split) if isinstance(outer, dict) else None
        if not isinstance(struct, dict):
            held = ", ".join(sorted(name[:60] for name in variables)[:10]) or "nothing"
            raise DataError(f"{path} holds {held}, but must hold a struct {where}; {GET_LABELS}")
        identities = _identities(path, where, struct.get(_IDENTITIES))
        wanted = [*FIELDS.values(), *(field for group in COLORS for field in color_fields(group).values())]
        if missing := [name for name in wanted if name not in struct]:
            raise DataError(f"{path}: {where} has no field {', '.join(missing[:5])}; {GET_LABELS}")
        fields = {name: _numbers(path, f"{where}.{name}", struct[name], len(identities)) for name in wanted}
        return cls(path, where, identities, fields)

    def values_of(self, number: int) -> dict[str, int | None]:
        """Return the label value of each group for the identity of this number; None where unknown."""
        values: dict[str, int | None] = {}
        for group in MARKET.groups:
            if group.name in COLORS:
                values[group.name] = self._color(group.name, number)
            else:
                values[group.name] = self._value(FIELDS[group.name], number, group.num_values) - 1
        return values

    def _color(self, group: str, number: int) -> int | None:
        fields = list(color_fields(group).values())
        yes = [value for value, field in enumerate(fields) if self._value(field, number, 2) == 2]
        if len(yes) > 1:
            both = " and ".join(fields[value] for value in yes[:2])
            raise DataError(
                f"{self.path}: {self.where}: identity {self.identities[number]:04d} has {both}; expected at most "
                f"one color of a part; {GET_LABELS}"
            )
        return yes[0] if yes else None

    def _value(self, field: str, number: int, most: int) -> int:
        value = self.fields[field][number]
        if not 1 <= value <= most:
            raise DataError(
                f"{self.path}: {self.where}.{field}: got {value} for identity {self.identities[number]:04d}; "
                f"expected 1 to {most}; {GET_LABELS}"
            )
        return value


def color_fields(group: str) -> dict[str, str]:
    """Return the field of each value of a color, as in {"black": "upblack"}."""
    (found,) = (one for one in MARKET.groups if one.name == group)
    return {value: COLORS[group] + value for value in found.value_names()}


def _identities(path: Path, where: str, cells: Value) -> list[int]:
    names = cells if isinstance(cells, list) else []
    texts = [name for name in names if isinstance(name, str) and _IDENTITY.fullmatch(name)]
    if not texts or len(texts) < len(names):
        wrong = next((name for name in names if name not in texts), None)
        raise DataError(
            f"{path}: {where}.{_IDENTITIES}: got {str(wrong)[:60]}; expected identities such as 0002; {GET_LABELS}"
        )
    found = [int(text) for text in texts]
    if twice := [identity for identity, count in Counter(found).items() if count > 1]:
        raise DataError(f"{path}: {where}.{_IDENTITIES} lists {twice[0]:04d} twice; {GET_LABELS}")
    return found


def _numbers(path: Path, where: str, value: Value, count: int) -> list[int]:
    """Return (count,) whole numbers."""
    if not isinstance(value, np.ndarray) or value.size != count or not (value == np.rint(value)).all():
        shown = f"{value.shape[0]} x {value.shape[1]}" if isinstance(value, np.ndarray) else type(value).__name__
        raise DataError(f"{path}: {where}: got {shown}; expected {count} whole numbers; {GET_LABELS}")
    return [int(number) if abs(number) < 2**31 else 0 for number in value.ravel().tolist()]
