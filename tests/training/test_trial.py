"""A training that validation tracklets alone judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from vpar_cache.cache.features import open_features
from vpar_cache.errors import UserError
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train
from vpar_cache.training.trial import rows_without_test, validation_curve


def config(cache: Path, **changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {"model": "linear", "epochs": 8, "device": "cpu", "val_fraction": 0.34}
    return TrainConfig(features=cache, **{**settings, **changes})


def test_the_curve_is_the_history_of_a_run_and_no_folder_is_written(tiny_cache: Path, tmp_path: Path) -> None:
    curve = validation_curve(config(tiny_cache, runs=tmp_path), open_features(tiny_cache))
    assert not list(tmp_path.iterdir())
    run = train(config(tiny_cache, runs=tmp_path))
    history = pq.read_table(run.folder / "history.parquet").column("validation_f1").to_pylist()
    assert curve.f1 == tuple(history)
    assert not curve.ended_early


def test_a_training_below_the_median_ends_after_the_warm_up_epochs(tiny_cache: Path) -> None:
    features = open_features(tiny_cache)
    below = validation_curve(config(tiny_cache), features, medians=[2.0] * 8)
    assert (len(below.f1), below.ended_early) == (6, True)
    above = validation_curve(config(tiny_cache), features, medians=[0.0] * 8)
    assert (len(above.f1), above.ended_early) == (8, False)
    assert above.f1[:6] == below.f1


def test_no_test_row_is_handed_on(tiny_cache: Path) -> None:
    features = open_features(tiny_cache)
    rows = rows_without_test(features, config(tiny_cache))
    assert len(rows.test) == 0
    assert not set(features.rows_of("test")) & {*rows.train, *rows.validation}


def test_a_cache_that_nobody_can_judge_is_refused(tiny_cache: Path) -> None:
    with pytest.raises(UserError, match=r"--features.*tiny\.h5"):
        rows_without_test(open_features(tiny_cache), config(tiny_cache, recipe="paper"))
