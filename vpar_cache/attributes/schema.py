"""The attribute table: groups, outputs, phrases and the meaning of label values.

A *group* is one question about a person (its column in the label file). A group with one output is
binary: value 1 means the output's phrase holds, value 0 its negative. A group with several outputs is a
choice: value v means output v, as a one-hot row. The output order is the paper's table order; every label
vector, logit vector and text embedding in the project follows it.

Polarity was checked against real crops: "bottom type" 1 is trousers or shorts, although the authors' code
prompts that output with "bottom skirt".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.toml_file import read_toml
from vpar_cache.errors import DataError, UserError, nearest

TAKEN = ("tracklet", "tracklet_id", "tracklets_id", "split", "person_id", "camera_id", "probabilities", "labels")
"""Columns of label files and of predictions, which no group and no quality flag may be named like."""


Unit = Literal["tracklet", "image"]
UNITS: tuple[Unit, ...] = ("tracklet", "image")
"""What a row of labels is about. Papers on single images read other scores first than papers on videos."""


def _is_taken(*names: str) -> bool:
    return any(re.sub(r"[\s-]+", "_", name.strip()).casefold() in TAKEN for name in names)


@dataclass(frozen=True)
class Output:
    """One logit: `name` in tables and files, `phrase` in prompts ("split and expand", paper, Method)."""

    name: str
    phrase: str


@dataclass(frozen=True)
class Group:
    """One question: its outputs, the header spellings of its label column, and what value 0 means."""

    name: str
    outputs: tuple[Output, ...]
    columns: tuple[str, ...]
    negative: str = ""
    """What value 0 of a group with one output says; empty for a choice."""

    @property
    def is_choice(self) -> bool:
        return len(self.outputs) > 1

    @property
    def num_values(self) -> int:
        """How many label values are valid: 0 .. num_values - 1."""
        return len(self.outputs) if self.is_choice else 2

    def value_names(self) -> tuple[str, ...]:
        """Return the meaning of each label value, without the group's name."""
        names = [o.name for o in self.outputs] if self.is_choice else [self.negative, self.outputs[0].phrase]
        return tuple(name.removeprefix(f"{self.name} ") for name in names)


def describe_values(names: Sequence[str]) -> str:
    """Return what a label column may hold: `0 = long sleeves, 1 = short sleeves`."""
    return ", ".join(f"{value} = {name}" for value, name in enumerate(names))


@dataclass(frozen=True)
class Schema:
    """An ordered attribute table. Immutable; written into every cache and every run."""

    name: str
    groups: tuple[Group, ...]
    quality: tuple[str, ...] = ()
    """The dataset's own quality flags (occlusion, cut-out, ...), each 0 or 1."""
    unit: Unit = "tracklet"
    """image: each tracklet is one image, so that reports speak of images and show `instance` and mA first."""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise UserError(f"schema {self.name!r}: unit: got {self.unit!r}; expected {' or '.join(UNITS)}")
        if not self.groups:
            raise UserError(f"schema {self.name!r} has no group: give it at least one [[group]]")
        if empty := [group.name for group in self.groups if not group.outputs]:
            raise UserError(f"schema {self.name!r}: group {empty[0]!r} has no output; give it at least one")
        taken = [group.name for group in self.groups if _is_taken(group.name, *group.columns)]
        if taken := taken or [flag for flag in self.quality if _is_taken(flag)]:
            raise UserError(
                f"schema {self.name!r}: {taken[0]!r} has the name of a column with a meaning of its own "
                f"({', '.join(TAKEN)}): this name is taken. Rename it"
            )
        outputs = [output.name for output in self.outputs]
        groups = [group.name for group in self.groups]
        columns = [column for group in self.groups for column in group.columns]
        named = (("output", outputs), ("group", groups), ("column", columns), ("quality flag", list(self.quality)))
        for kind, names in named:
            if twice := sorted(name for name, count in Counter(names).items() if count > 1):
                raise UserError(f"schema {self.name!r} names {kind} {twice[0]!r} twice: names must be unique")

    @property
    def outputs(self) -> tuple[Output, ...]:
        """All A outputs in order."""
        return tuple(output for group in self.groups for output in group.outputs)

    @property
    def num_outputs(self) -> int:
        """A: 43 for MARS, 36 for DUKE."""
        return sum(len(group.outputs) for group in self.groups)

    def output_groups(self) -> tuple[str, ...]:
        """Return the group name of each output, in output order."""
        return tuple(group.name for group in self.groups for _ in group.outputs)

    def slices(self) -> Iterator[tuple[Group, slice]]:
        """Yield each group with its columns in a label or logit matrix."""
        start = 0
        for group in self.groups:
            stop = start + len(group.outputs)
            yield group, slice(start, stop)
            start = stop

    def named_slices(self) -> list[tuple[str, slice]]:
        """Return each group's name with its columns: the `groups` of vpar_cache.metrics."""
        return [(group.name, columns) for group, columns in self.slices()]

    def encode(self, values: Mapping[str, int | None]) -> NDArray[np.uint8]:
        """Return (A,) of 0 and 1 from label values by group name; None is unknown and gives 0, see `known`.

        Raises DataError for a value out of range.
        """
        vector: list[int] = []
        for group in self.groups:
            value = values[group.name]
            if value is None:
                vector += [0] * len(group.outputs)
                continue
            if not 0 <= value < group.num_values:
                raise DataError(
                    f"{group.name} is {value}, but {self.name} allows {describe_values(group.value_names())}"
                )
            if group.is_choice:
                vector += [int(value == number) for number in range(group.num_values)]
            else:
                vector.append(value)
        return np.array(vector, dtype=np.uint8)  # (A,)

    def known(self, values: Mapping[str, int | None]) -> NDArray[np.bool_]:
        """Return (A,), which outputs have a known label: those of groups whose value is not None."""
        known = [values[group.name] is not None for group in self.groups for _ in group.outputs]
        return np.array(known, dtype=np.bool_)  # (A,)

    def are_groups_whole(self, known: NDArray[np.bool_]) -> bool:
        """Return whether each row of (n, A) has every group known or unknown as a whole."""
        starts = [columns.start for _, columns in self.slices()]
        every = np.logical_and.reduceat(known, starts, axis=1)  # (n, groups)
        some = np.logical_or.reduceat(known, starts, axis=1)  # (n, groups)
        return bool((every == some).all())

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and strings, for canonical JSON."""
        return {
            "name": self.name,
            **({} if self.unit == "tracklet" else {"unit": self.unit}),
            "quality": list(self.quality),
            "groups": [
                {
                    "name": group.name,
                    "columns": list(group.columns),
                    "negative": group.negative,
                    "outputs": [{"name": o.name, "phrase": o.phrase} for o in group.outputs],
                }
                for group in self.groups
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema:
        """Return the schema of to_dict's result. Raises DataError for a missing or invalid field."""
        try:
            groups = tuple(
                Group(
                    name=str(group["name"]),
                    outputs=tuple(Output(str(o["name"]), str(o["phrase"])) for o in group["outputs"]),
                    columns=tuple(str(column) for column in group["columns"]),
                    negative=str(group["negative"]),
                )
                for group in data["groups"]
            )
            quality = tuple(str(flag) for flag in data["quality"])
            return cls(str(data["name"]), groups, quality, data.get("unit", "tracklet"))
        except (KeyError, TypeError, UserError) as error:
            raise DataError(f"stored schema is invalid: {error!r}; extract the cache again") from error


def binary(name: str, output: str, phrase: str, negative: str, *columns: str) -> Group:
    """Return a group with one output; `columns` are other header spellings of its label column."""
    return Group(name, (Output(output, phrase),), (name, *columns), negative)


def choice(name: str, phrase: str, values: str, *columns: str) -> Group:
    """Return a group with several outputs: `phrase` holds {} for the value, `values` are separated by commas."""
    names = [value.strip() for value in values.split(",")]
    outputs = tuple(Output(f"{name} {value}", phrase.format(value)) for value in names)
    return Group(name, outputs, (name, *columns))


def _text(table: Mapping[str, Any], key: str, default: str | None, where: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value:
        raise UserError(f"{where}: {key!r} is {short_repr(value)}, but must be a text")
    return value


def _texts(table: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise UserError(f"{where}: {key!r} is {short_repr(value)}, but must be a list of texts")
    return value


_CHOICE_KEYS = ("name", "column", "values", "phrases")
_BINARY_KEYS = ("name", "column", "phrase", "negative", "values")  # with values it would be a choice


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise UserError(f"{where}: unknown key {key[:60]!r}; {nearest(key, known)}")


def _group_from_toml(table: Mapping[str, Any], where: str) -> Group:
    _check_keys(table, _CHOICE_KEYS if "values" in table else _BINARY_KEYS, where)
    name = _text(table, "name", None, where)
    where = f"{where} {name[:60]!r}"
    columns = (_text(table, "column", name, where),)
    if "values" not in table:
        phrase = _text(table, "phrase", name, where)
        return Group(name, (Output(name, phrase),), columns, _text(table, "negative", f"not {phrase}", where))
    values = _texts(table, "values", where)
    if len(values) < 2:
        raise UserError(f"{where}: 'values' is {values}, but must have two or more; leave it out for a 0/1 column")
    phrases = _texts(table, "phrases", where) or [f"{name} {value}" for value in values]
    if len(phrases) != len(values):
        raise UserError(f"{where}: {len(phrases)} phrases for {len(values)} values; give one phrase per value")
    pairs = zip(values, phrases, strict=True)
    return Group(name, tuple(Output(f"{name} {value}", phrase) for value, phrase in pairs), columns)


def read_schema(path: Path) -> Schema:
    """Return the schema in a TOML file of your own attributes.

        name = "shop"
        quality = ["occlusion"]          # optional 0/1 columns
        unit = "image"                   # optional: each row is one image, not a tracklet
        [[group]]                        # a 0/1 column
        name = "hat"
        phrase = "a hat"                 # what 1 means; default: the name
        negative = "no hat"              # what 0 means
        [[group]]                        # a column of 0 .. n-1
        name = "top color"
        column = "upcolor"               # default: the name
        values = ["black", "white"]
        phrases = ["black top", "white top"]

    Raises UserError that names the file, the key and the rule.
    """
    data = read_toml(path, "schema file")
    _check_keys(data, ("name", "quality", "unit", "group"), f"schema file {path}")
    tables = data.get("group", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError(f"schema file {path}: 'group' must be written as [[group]] tables")
    groups = tuple(_group_from_toml(table, f"schema file {path}, group {i + 1}") for i, table in enumerate(tables))
    name = _text(data, "name", path.stem, f"schema file {path}")
    unit = data.get("unit", "tracklet")
    if unit not in UNITS:
        raise UserError(f"schema file {path}: unit: got {short_repr(unit)}; expected {' or '.join(UNITS)}")
    return Schema(name, groups, tuple(_texts(data, "quality", f"schema file {path}")), unit)
