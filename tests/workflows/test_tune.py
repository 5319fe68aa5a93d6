"""`vpar tune`: judged by held-out people alone, continued where it stopped."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pyarrow.parquet as pq
import pytest

from tests.support.small_caches import edit_sealed
from vpar_cache.base.lock import sole_writer
from vpar_cache.cache.features import open_features
from vpar_cache.errors import CacheError, DataError, Stopped, UserError
from vpar_cache.rendering.formats import render
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train
from vpar_cache.workflows.trials import TuneResult
from vpar_cache.workflows.tune import TuneConfig, _medians, tune

optuna = pytest.importorskip("optuna")
TrialState = optuna.trial.TrialState
SEARCH = """
[lr]
low = 1e-4
high = 1e-2
log = true
[batch_size]
choices = [2, 4]
"""


def config(cache: Path, folder: Path, search: str = SEARCH, **changes: Any) -> TuneConfig:
    (folder / "search.toml").write_text(search, "utf-8")
    base = {"model": "linear", "epochs": 2, "device": "cpu", "val_fraction": 0.34, **changes.pop("base", {})}
    settings: dict[str, Any] = {"trials": 3, "search": folder / "search.toml", "out": folder / "tune", **changes}
    return TuneConfig(base=TrainConfig(features=cache, **base), **settings)


def tried(result: TuneResult) -> list[tuple[dict[str, Any], tuple[float, ...]]]:
    """Settings and F1 of each trial."""
    return [(dict(trial.settings), trial.curve.f1) for trial in result.trials]


def test_the_best_trial_is_what_train_then_trains(tiny_cache: Path, tmp_path: Path) -> None:
    result = tune(config(tiny_cache, tmp_path))
    assert len(result.trials) == 3
    assert result.best.f1 == max(trial.f1 or 0 for trial in result.trials)
    assert {trial.settings["batch_size"] for trial in result.trials} <= {2, 4}
    words = shlex.split(result.command)
    assert words[:4] == ["vpar", "train", "--features", str(tiny_cache)]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert float(given["--lr"]) == result.best.settings["lr"]
    run = train(
        TrainConfig(
            features=tiny_cache, runs=tmp_path, model=given["--model"], epochs=int(given["--epochs"]),
            lr=float(given["--lr"]), batch_size=int(given["--batch-size"]), device=given["--device"],
            val_fraction=float(given["--val-fraction"]),
        )
    )  # fmt: skip
    history = pq.read_table(run.folder / "history.parquet").column("validation_f1").to_pylist()
    assert tuple(history) == result.best.curve.f1


def test_the_command_names_all_caches(tiny_cache: Path, tmp_path: Path) -> None:
    result = tune(config(tiny_cache, tmp_path, trials=1))
    several = replace(result, base=replace(result.base, features=("a.h5", "b.h5"), same_people=True))
    words = shlex.split(several.command)
    assert words[:6] == ["vpar", "train", "--features", "a.h5", "--features", "b.h5"]
    assert "--same-people" in words


def test_other_labels_of_the_test_split_change_nothing(extracted: Path, tmp_path: Path) -> None:
    search = SEARCH + "[loss]\nchoices = ['weighted']\n"  # it reads the rates of labels, too
    before = tune(config(extracted, tmp_path, search))
    test = open_features(extracted).rows_of("test")

    def reverse(file: h5py.File) -> None:
        labels = file["labels"][()]
        assert (labels[test] != labels[test][::-1]).any()
        labels[test] = labels[test][::-1]
        file["labels"][...] = labels

    edit_sealed(extracted, reverse)
    after = tune(config(extracted, tmp_path, search))
    assert after.folder != before.folder
    assert tried(after) == tried(before)


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_interrupted_and_to_more_trials(tiny_cache: Path, tmp_path: Path) -> None:
    whole = tune(config(tiny_cache, tmp_path, out=tmp_path / "whole", trials=4))
    asked = iter([False] * 12)  # stops in the middle of a trial
    with pytest.raises(Stopped):
        tune(config(tiny_cache, tmp_path, trials=2), stop=lambda: next(asked, True))
    said: list[str] = []
    two = tune(config(tiny_cache, tmp_path, trials=2), say=said.append)
    assert tried(two) == tried(whole)[:2]
    assert tried(tune(config(tiny_cache, tmp_path, trials=4))) == tried(whole)
    again = tune(config(tiny_cache, tmp_path, trials=4), say=said.append)
    assert "4 trials are there already" in said[-1]
    assert tried(again) == tried(whole)


def test_a_training_that_diverges_is_listed_and_the_others_go_on(tiny_cache: Path, tmp_path: Path) -> None:
    search = "[lr]\nchoices = [1e-3, 1e38]\n"
    result = tune(config(tiny_cache, tmp_path, search, trials=6))
    failed = [trial for trial in result.trials if trial.f1 is None]
    assert {trial.settings["lr"] for trial in failed} == {1e38}
    assert result.best.settings["lr"] == 1e-3
    text = render(result, "markdown")
    assert f"trial {failed[0].number} could not be trained" in text
    assert "optimistic" in text
    with pytest.raises(DataError, match="--lr"):
        tune(config(tiny_cache, tmp_path, "[lr]\nchoices = [1e38]\n"))


def test_the_sixth_trial_is_held_against_the_median_of_those_that_trained_to_the_end() -> None:
    curves = [[0.1, 0.5], [0.2, 0.4], [0.3, 0.3], [0.4, 0.2], [0.9, 0.1]]
    trials = [
        optuna.trial.create_trial(value=max(curve), intermediate_values=dict(enumerate(curve, 1)))
        for curve in curves
    ]
    pruned = optuna.trial.create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.0})
    assert _medians([*trials[:4], pruned], TrialState.COMPLETE, 2) == ()
    assert _medians([*trials, pruned], TrialState.COMPLETE, 2) == (0.3, 0.3)


def test_the_picture_and_every_format_show_the_trials(tiny_cache: Path, tmp_path: Path) -> None:
    result = tune(config(tiny_cache, tmp_path))
    assert (result.folder / "trials.png").read_bytes().startswith(b"\x89PNG")
    assert render(result, "csv").count("\n") == 4
    for format in ("rich", "markdown", "json"):
        assert f"{100 * (result.best.f1 or 0):.2f}"[:4] in render(result, format)
    text = render(result, "markdown")
    assert "random weights" in text
    assert f"best constant, which sees no image, has {100 * result.best_constant:.2f}" in text


def test_two_searches_of_the_same_settings_at_once_are_refused(tiny_cache: Path, tmp_path: Path) -> None:
    folder = tune(config(tiny_cache, tmp_path, trials=1)).folder
    with sole_writer(folder, print), pytest.raises(CacheError, match="written by"):
        tune(config(tiny_cache, tmp_path))


@pytest.mark.slow
def test_a_damaged_file_of_trials_is_one_line(tiny_cache: Path, tmp_path: Path) -> None:
    folder = tune(config(tiny_cache, tmp_path, trials=1)).folder
    (folder / "trials.db").write_bytes(b"no database" * 1000)
    with pytest.raises(CacheError, match=r"trials\.db"):
        tune(config(tiny_cache, tmp_path))


def test_odd_characters_in_the_folder_are_fine(tiny_cache: Path, tmp_path: Path) -> None:
    result = tune(config(tiny_cache, tmp_path, trials=1, out=tmp_path / "a ?b=%41#ü"))
    assert (result.folder / "trials.db").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 0}, "--trials.* 0"),
        ({"executor": "dask"}, "--executor 'dask'"),
        ({"ray_address": "auto"}, "--ray-address"),
        ({"base": {"model": "prior"}}, "--model.*prior"),
        ({"base": {"recipe": "paper"}}, "--recipe.*paper"),
    ],
)
def test_a_wrong_setting_is_one_line(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        config(tmp_path / "x.h5", tmp_path, **changes)


def test_without_people_to_hold_out_nothing_is_tried(tiny_cache: Path, tmp_path: Path) -> None:
    folds = tmp_path / "folds.csv"
    folds.write_text("person_id,fold\n" + "".join(f"{person},0\n" for person in range(1, 10)), "utf-8")
    with pytest.raises(UserError, match="--fold"):
        tune(config(tiny_cache, tmp_path, base={"folds": folds, "fold": 0}))
    assert not (tmp_path / "tune").exists()
