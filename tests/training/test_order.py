"""The order of an epoch's rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vpar_cache.cache.features import Features, open_features
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.errors import UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.training.checkpoints import CheckpointFile
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.loop import Trainer
from vpar_cache.training.order import SHUFFLES, WINDOW_SHARDS, epoch_windows
from vpar_cache.training.splits import choose_rows
from vpar_cache.training.train import train

SHARDS = [5, 0, 7, 3, 9, 1, 6, 4, 8]
ROWS = np.delete(np.arange(sum(SHARDS)), [2, 11, 40])
"""Some rows are held out."""


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_every_row_comes_once_an_epoch_and_each_epoch_in_another_order(shuffle: str) -> None:
    random = np.random.default_rng(0)
    one, other = (np.concatenate(epoch_windows(ROWS, SHARDS, shuffle, random)) for _ in range(2))
    np.testing.assert_array_equal(np.sort(one), ROWS)
    np.testing.assert_array_equal(np.sort(other), ROWS)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, ROWS)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_seed_decides_the_order(shuffle: str) -> None:
    orders = [
        np.concatenate(epoch_windows(ROWS, SHARDS, shuffle, np.random.default_rng(seed))) for seed in (3, 3, 4)
    ]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


def test_a_window_holds_the_rows_of_a_few_shards_and_shards_come_in_a_random_order() -> None:
    owner = np.repeat(np.arange(len(SHARDS)), SHARDS)
    firsts = set()
    for seed in range(20):
        windows = epoch_windows(ROWS, SHARDS, "shards", np.random.default_rng(seed))
        held = [set(owner[window]) for window in windows]
        assert [len(shards) for shards in held] == [WINDOW_SHARDS, WINDOW_SHARDS]  # one shard is empty
        assert not held[0] & held[1]
        firsts.add(frozenset(held[0]))
    assert len(firsts) > 5


def test_exact_is_the_permutation_of_all_rows() -> None:
    (window,) = epoch_windows(ROWS, SHARDS, "exact", np.random.default_rng(5))
    np.testing.assert_array_equal(window, np.random.default_rng(5).permutation(ROWS))


def test_both_orders_learn_from_the_same_rows(tiny_cache: Path, tmp_path: Path) -> None:
    """With one batch an epoch the order of its rows changes a sum by rounding alone."""
    settings: dict[str, Any] = {
        "model": "linear",
        "epochs": 2,
        "batch_size": 64,
        "precision": "fp32",
        "device": "cpu",
    }
    one, other = (
        train(TrainConfig(features=tiny_cache, runs=tmp_path, name=shuffle, shuffle=shuffle, **settings))
        for shuffle in SHUFFLES
    )
    found = [result.metrics["scores"]["vtf"]["average"]["f1"] for result in (one, other)]
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_the_curves_of_both_orders_agree_within_the_spread_between_seeds(
    tmp_path: Path, extract_config: Callable[..., ExtractConfig]
) -> None:
    """Mean validation F1 of five seeds, for every epoch; the rows lie in ten train shards or more."""
    root = write_demo(tmp_path / "tracklets", DemoSize(30, 2, 2, 4), 3)
    index = extract(extract_config(tmp_path / "demo.h5", root=root, shard_size=5)).index
    features = open_features(index)
    assert len(features.shards) > 10
    curves = np.array([[curve(features, index, tmp_path, how, seed) for seed in range(5)] for how in SHUFFLES])
    exact, shards = curves  # (5, epochs) each
    assert exact.std(axis=0).max() > 0
    spread = exact.max(axis=0) - exact.min(axis=0)  # (epochs,)
    np.testing.assert_array_less(abs(exact.mean(axis=0) - shards.mean(axis=0)), spread)


def curve(features: Features, index: Path, runs: Path, shuffle: str, seed: int) -> list[float]:
    """Return the validation F1 of each epoch."""
    config = TrainConfig(
        features=index, runs=runs, model="linear", epochs=6, batch_size=4, shuffle=shuffle, seed=seed,
        val_fraction=0.3, precision="fp32", device="cpu",
    )  # fmt: skip
    trainer = Trainer(config, features, choose_rows(features, config))
    history, _ = trainer.fit(CheckpointFile(runs, "none", "0" * 64))
    return [row["validation_f1"] for row in history]


def test_another_order_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--shuffle.*'sorted'"):
        TrainConfig(features=tmp_path / "a.h5", shuffle="sorted")
