"""Which rows may choose: never the test split, never people who train."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.errors import DataError, UserError
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.folds import read_folds
from vpar_cache.training.splits import choose_rows


def features(people: list[int], num_test: int = 3, num_validation: int = 0, people_known: bool = True) -> Any:
    """Tracklets of the train people, then validation ones, two of each person, then test ones."""
    splits = np.array(["train"] * len(people) + ["validation"] * num_validation + ["test"] * num_test)
    validation = [800 + i // 2 for i in range(num_validation)]
    return SimpleNamespace(
        path=Path("x.h5"),
        dataset="mars",
        where="x.h5",
        tracklet_ids=tuple(f"t{i}" for i in range(len(splits))),
        person_ids=np.array(people + validation + [900 + i for i in range(num_test)]),
        people_known=people_known,
        schema=SimpleNamespace(unit="tracklet"),
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


def test_validation_tracklets_choose_in_strict_and_are_not_used_otherwise() -> None:
    cache, said = features([1, 1, 2, 3], num_validation=5), []
    rows = choose_rows(cache, config(), said.append)
    assert [list(part) for part in (rows.train, rows.validation, rows.test)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7, 8],
        [9, 10, 11],
    ]
    assert rows.recipe == "strict", "few train people do not matter"
    assert said == ["5 validation tracklets of 3 people choose the epoch and the thresholds"]
    for recipe in ("paper", "reference"):
        rows = choose_rows(cache, TrainConfig.of_recipe(recipe, features=Path("x.h5")), said.append)
        assert (list(rows.train), rows.recipe) == ([0, 1, 2, 3], recipe)
        assert not len(rows.validation)
        assert said[-1].startswith("5 validation tracklets are not used")


def test_it_is_said_who_is_held_out_and_of_how_many_people_where_they_are_known() -> None:
    said: list[str] = []
    choose_rows(features([i // 2 for i in range(20)]), config(), said.append)
    choose_rows(features(list(range(20)), people_known=False), config(), said.append)
    choose_rows(features(list(range(8))), config(), said.append)
    assert [line.partition(" the epoch")[0] for line in said] == [
        "2 held-out train tracklets of 1 person choose",
        "2 held-out train tracklets choose",
        "1 held-out train tracklet of 1 person chooses",
    ]


@pytest.mark.parametrize("column", ["person_id", "tracklet_id"])
def test_a_fold_chooses_and_the_others_train(column: str, tmp_path: Path) -> None:
    cache, said = features([7, 7, 8, 9], num_validation=2), []
    keys = {"person_id": ["0007", "8", "9"], "tracklet_id": ["t1", "t0", "t2", "t3"]}[column]
    fold_of = {"0007": 1, "8": 0, "9": 3, "t0": 1, "t1": 1, "t2": 0, "t3": 3}
    file = write_folds(tmp_path, [f"fold,{column},note", *(f"{fold_of[key]},{key},x" for key in keys)])
    rows = choose_rows(cache, config(folds=file, fold=1), said.append)
    assert [list(part) for part in (rows.train, rows.validation, rows.test)] == [[2, 3], [0, 1], [6, 7, 8]]
    assert rows.recipe == "strict"
    assert said == [
        f"fold 1 of {file}: 2 train tracklets of 1 person choose the epoch and the thresholds; 2 validation "
        "tracklets of the cache are left out"
    ]


@pytest.mark.parametrize("sep", ["sep=;\n", ""])
def test_folds_are_read_as_spreadsheets_write_them(sep: str, tmp_path: Path) -> None:
    file = tmp_path / "folds.csv"
    file.write_text(f"\ufeff{sep}fold;person_id\r\n1;7\r\n0;8 \r\n;\r\n", "utf-8")
    assert read_folds(file).fold_of == {"7": 1, "8": 0}


def write_folds(folder: Path, lines: list[str]) -> Path:
    file = folder / "folds.csv"
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return file


@pytest.mark.parametrize(
    ("lines", "kind", "message"),
    [
        (["person_id,fold", "7,0", "8,1"], DataError, "folds.csv.*person_id '9'"),
        (["tracklet_id,fold", "t0,0", "t1,1", "t2,1", "t3,1"], DataError, "person 7.*0 and 1"),
        (["person_id,fold", "7,0", "8,1", "9,1", "7,1"], DataError, "line 5.*'7'.*1 and in 0"),
        (["person_id,fold", "7,2", "8,1", "9,1"], UserError, "--fold.* 0;.*1, 2"),
        (["person_id,fold", "7,0", "8,0", "9,0"], UserError, "--fold.*two or more"),
        (["person_id,fold", "7,0", "8,x", "9,0"], DataError, "line 3, column fold.*'x'"),
        (["person_id,fold", "7,0", "p8,1", "9,0"], DataError, "line 3, column person_id.*'p8'"),
        (["person_id,fold", "7,0", "8", "9,0"], DataError, "line 3.*1 cell;"),
        (["person,fold", "7,0"], DataError, "'person', 'fold'.*person_id"),
        ([], DataError, "folds.csv.*tracklet_id or person_id"),
    ],
)
def test_folds_that_do_not_fit_are_named(
    lines: list[str], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    file = write_folds(tmp_path, lines)
    with pytest.raises(kind, match=message) as error:
        choose_rows(features([7, 7, 8, 9]), config(folds=file, fold=0))
    assert "\n" not in str(error.value)


def test_folds_of_people_need_a_cache_that_knows_them(tmp_path: Path) -> None:
    file = write_folds(tmp_path, ["person_id,fold", "7,0", "8,1"])
    with pytest.raises(DataError, match=r"person_id.*tracklet_id"):
        choose_rows(features([7, 8], people_known=False), config(folds=file, fold=0))


def test_the_content_of_the_folds_is_a_setting_and_where_they_are_is_not(tmp_path: Path) -> None:
    lines = ["person_id,fold", "7,0", "8,1"]
    one, same, other = ((tmp_path / name) for name in "abc")
    for folder, content in ((one, lines), (same, lines), (other, [*lines, "9,1"])):
        folder.mkdir()
        write_folds(folder, content)
    one, same, other = (config(folds=folder / "folds.csv", fold=1).settings() for folder in (one, same, other))
    assert one == same != other
    assert "folds" not in one
    assert (one["fold"], len(one["folds_digest"])) == (1, 64)


def test_folds_without_their_file_or_number_or_recipe_are_refused(tmp_path: Path) -> None:
    file = write_folds(tmp_path, ["person_id,fold", "7,0", "8,1"])
    for changes, message in (
        ({"folds": file}, "--fold: got none"),
        ({"fold": 1}, "--folds: got none"),
        ({"folds": file, "fold": 1, "recipe": "paper"}, "--folds.*paper"),
        ({"folds": tmp_path / "absent.csv", "fold": 1}, "--folds.*absent.csv"),
        ({"folds": file, "fold": 1, "folds_digest": "0" * 64}, "--folds.*folds.csv.*000000000000"),
        ({"fold": 1, "folds_digest": "0" * 64}, "--folds: got none.*000000000000"),
    ):
        with pytest.raises(UserError, match=message):
            config(**changes)
