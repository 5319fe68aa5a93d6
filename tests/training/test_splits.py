"""Which rows may choose: never the test split, never people who train."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.errors import DataError
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.splits import choose_rows


def features(people: list[int], num_test: int = 3) -> Any:
    splits = np.array(["train"] * len(people) + ["test"] * num_test)
    return SimpleNamespace(
        path=Path("x.h5"),
        person_ids=np.array(people + [900 + i for i in range(num_test)]),
        splits=splits,
        rows_of=lambda split: np.flatnonzero(splits == split),
    )


def config(**changes: Any) -> TrainConfig:
    return TrainConfig(features=Path("x.h5"), **changes)


@given(
    people=st.lists(st.integers(0, 12), min_size=6, max_size=60).filter(lambda p: len(set(p)) >= 5),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_held_out_people_train_nothing_and_no_row_is_lost(people: list[int], fraction: float, seed: int) -> None:
    cache = features(people)
    rows = choose_rows(cache, config(val_fraction=fraction, seed=seed))
    train, held_out = set(cache.person_ids[rows.train]), set(cache.person_ids[rows.validation])
    assert train
    assert held_out
    assert not train & held_out
    assert sorted([*rows.train, *rows.validation]) == list(cache.rows_of("train"))
    assert list(rows.test) == list(cache.rows_of("test"))


def test_the_same_seed_holds_out_the_same_people_and_another_seed_others() -> None:
    cache = features(list(range(50)))
    chosen = [tuple(choose_rows(cache, config(seed=seed)).validation) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_with_fewer_than_five_people_strict_becomes_paper_and_says_so() -> None:
    said: list[str] = []
    rows = choose_rows(features([1, 1, 2, 3, 4]), config(), said.append)
    assert rows.recipe == "paper"
    assert not len(rows.validation)
    assert "4 train people" in said[0]


def test_the_paper_recipe_holds_nobody_out() -> None:
    rows = choose_rows(features(list(range(9))), config(recipe="paper"))
    assert len(rows.train) == 9
    assert not len(rows.validation)


def test_an_empty_split_is_an_error() -> None:
    with pytest.raises(DataError, match="no test tracklet"):
        choose_rows(features([1, 2], num_test=0), config())
