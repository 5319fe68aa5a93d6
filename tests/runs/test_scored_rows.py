"""The digest of the rows that a run was scored on: what changes it, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.fake_runs import SMALL
from vpar_cache.attributes.schema import Group, Output
from vpar_cache.runs.scored_rows import rows_digest

LABELS = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)
ROWS: dict[str, Any] = {
    "schema": SMALL,
    "tracklet_ids": ["a", "b", "c"],
    "people": np.array([1, 1, 2]),
    "labels": LABELS,
    "known": np.ones_like(LABELS),
}


def changed(name: str, cell: tuple[int, ...]) -> Callable[[], dict[str, Any]]:
    """One label, one unknown label or one person is another."""

    def change() -> dict[str, Any]:
        values = ROWS[name].copy()
        values[cell] = values[cell] == 0 if values.dtype == bool else 7
        return {name: values}

    return change


OTHER_OUTPUT = replace(
    SMALL, groups=(Group("hat", (Output("cap", "a hat"),), ("hat",), "no hat"), SMALL.groups[1])
)
CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "an id": lambda: {"tracklet_ids": ["a", "b", "d"]},
    "a label": changed("labels", (1, 0)),
    "an unknown label": changed("known", (1, 0)),
    "a person": changed("people", (1,)),
    "no people": lambda: {"people": None},
    "an output": lambda: {"schema": OTHER_OUTPUT},
    "a row less": lambda: {
        name: rows[:2] for name, rows in ROWS.items() if name != "schema"
    },
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_other_rows_have_another_digest(change: Callable[[], dict[str, Any]]) -> None:
    assert rows_digest(**{**ROWS, **change()}) != rows_digest(**ROWS)


def test_the_order_of_the_rows_and_what_is_not_scored_make_no_difference() -> None:
    order = [2, 0, 1]
    rows = {name: np.array(values)[order] for name, values in ROWS.items() if name != "schema"}
    phrase = replace(SMALL, name="other", quality=("occlusion",))
    expected = rows_digest(**ROWS)
    assert rows_digest(phrase, [str(name) for name in rows.pop("tracklet_ids")], **rows) == expected
    known = ROWS["known"].copy()
    known[1, 0] = False
    hidden = LABELS.copy()
    hidden[1, 0] ^= True
    one, other = (rows_digest(**{**ROWS, "known": known, "labels": labels}) for labels in (LABELS, hidden))
    assert one == other, "the value under an unknown label"


def test_ids_and_labels_of_two_rows_do_not_trade_places() -> None:
    swapped = LABELS[[1, 0, 2]]
    assert rows_digest(**{**ROWS, "labels": swapped}) != rows_digest(**ROWS)
