"""Training where some labels are unknown: a mask of the cache, which the stored labels cannot override."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from tests.models.test_objective import cell_loss
from vpar_cache.cache.features import Features, open_features
from vpar_cache.cache.joined import open_joined
from vpar_cache.datasets.loaders import load_dataset
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.metrics.scoring import THRESHOLD_GRID, best_threshold
from vpar_cache.metrics.thresholds import output_thresholds
from vpar_cache.runs.load import load_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.loop import Trainer
from vpar_cache.training.splits import Rows, choose_rows
from vpar_cache.training.train import train


def part_known(features: Features, share: float = 0.7) -> NDArray[np.bool_]:
    """(N, A): the given share of the groups known, and pose of nobody."""
    random = np.random.default_rng(1)
    known = np.empty(features.labels.shape, np.bool_)
    for name, columns in features.schema.named_slices():
        known[:, columns] = random.random((len(known), 1)) < share * (name != "pose")
    return known


def config(cache: Path, runs: Path = Path("runs"), **changes: Any) -> TrainConfig:
    small: dict[str, Any] = {"dim": 32, "heads": 2, "device": "cpu", "precision": "fp32", "val_fraction": 0.34}
    return TrainConfig(**{"features": cache, "runs": runs, "epochs": 1, "batch_size": 64, **small, **changes})


def fitted(features: Features, settings: TrainConfig) -> tuple[Trainer, Rows, list[dict[str, Any]]]:
    rows = choose_rows(features, settings, print)
    trainer = Trainer(settings, features, rows)
    history, _ = trainer.fit(NoCheckpoints())
    return trainer, rows, history


class NoCheckpoints:
    def save_if_due(self, checkpoint: object) -> None: ...


@pytest.mark.parametrize("loss", ["bce", "weighted", "ce"])
def test_the_training_loss_is_that_of_the_known_cells(loss: str, tiny_cache: Path) -> None:
    whole = open_features(tiny_cache)
    known = part_known(whole)
    features = replace(whole, known=known)
    settings = config(tiny_cache, recipe="paper", loss=loss)
    rows = choose_rows(features, settings, print)
    train_labels, train_known = whole.labels[rows.train], known[rows.train]
    rates = [  # by hand
        sum(y for y, k in zip(ys, ks, strict=True) if k) / max(sum(ks), 1)
        for ys, ks in zip(train_labels.T.tolist(), train_known.T.tolist(), strict=True)
    ]
    trainer = Trainer(settings, features, rows)
    np.testing.assert_allclose(trainer.inputs.train_rates.numpy(), rates)
    logits = trainer._logits(rows.train).double().numpy()  # before the one step of the one epoch
    groups = trainer.inputs.groups
    expected = cell_loss(groups, loss, logits, train_labels, train_known, np.array(rates))
    history, _ = trainer.fit(NoCheckpoints())
    assert history[0]["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_labels_stored_at_unknown_cells_change_nothing(tiny_cache: Path) -> None:
    whole = open_features(tiny_cache)
    known = part_known(whole)
    hidden = replace(whole, known=known, labels=whole.labels * known)
    wrong = replace(whole, known=known, labels=np.where(known, whole.labels, 1 - whole.labels))
    settings = config(
        tiny_cache, model="linear", epochs=3, batch_size=5, lr=0.1, loss="weighted", val_fraction=0.5
    )
    (one, rows, history), (other, _, again) = fitted(hidden, settings), fitted(wrong, settings)
    for row, same in zip(history, again, strict=True):
        assert {**row, "seconds": 0} == {**same, "seconds": 0}
    assert np.array_equal(one.predict(rows.test), other.predict(rows.test))
    (common, thresholds), (same_common, same_thresholds) = one.select_thresholds(), other.select_thresholds()
    assert common == same_common
    assert np.array_equal(thresholds, same_thresholds)
    assert len(set(thresholds)) > 2


def test_only_known_labels_choose_the_common_threshold(tiny_cache: Path) -> None:
    """The held-out people are known to be men or women, and nothing else of them."""
    whole = open_features(tiny_cache)
    settings = config(tiny_cache, model="linear", epochs=20, batch_size=5, lr=0.1, seed=1, val_fraction=0.5)
    held_out = choose_rows(whole, settings, print).validation
    (gender,) = (columns.start for name, columns in whole.schema.named_slices() if name == "gender")
    known = np.ones(whole.labels.shape, np.bool_)
    known[held_out] = False
    known[held_out, gender] = True
    trainer, rows, _ = fitted(replace(whole, known=known, labels=np.where(known, whole.labels, 1)), settings)
    common, _ = trainer.select_thresholds()
    truth, probabilities = whole.labels[rows.validation, gender], trainer.predict(rows.validation)[:, gender]
    f1 = [f1_score(truth, probabilities > np.float32(threshold)) for threshold in THRESHOLD_GRID]
    assert common == THRESHOLD_GRID[int(np.argmax(f1))]
    assert common > THRESHOLD_GRID[0]


@pytest.fixture(scope="module")
def partly(
    tmp_path_factory: pytest.TempPathFactory, extract_config: Callable[..., ExtractConfig], demo_root: Path
) -> Path:
    """A cache of which 30 % of the labels are unknown and two people are validation."""
    found = load_dataset("mars", demo_root, None, "mars", 0)
    random = np.random.default_rng(2)
    people = sorted({t.person_id for t in found.tracklets if t.split == "train"})
    tracklets = []
    for tracklet in found.tracklets:
        known = np.empty(len(tracklet.labels), np.bool_)
        for _, columns in found.schema.named_slices():
            known[columns] = random.random() < 0.7
        split = "validation" if tracklet.person_id in people[-2:] else tracklet.split
        tracklets.append(replace(tracklet, split=split, known=known, labels=tracklet.labels * known))
    dataset = Dataset("mine", found.schema, tuple(tracklets))
    settings = extract_config(tmp_path_factory.mktemp("partly") / "partly.h5", dataset=None, root=None)
    return extract(settings, dataset=dataset).index


def test_a_run_on_part_of_the_labels_chooses_by_the_known_labels_of_validation_people(
    partly: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    settings = config(partly, tmp_path, model="linear", epochs=4, batch_size=4, lr=0.1)
    folder = train(settings, say=said.append).folder
    assert "4 validation tracklets of 2 people choose the epoch and the thresholds" in said
    features, run = open_features(partly), load_run(folder)
    rows = features.rows_of("validation")
    probabilities = run.predict(features.arrays[run.reads].gather(rows))
    labels, known = features.labels[rows], features.known[rows]
    record = json.loads((folder / "run.json").read_text("utf-8"))
    common = best_threshold(probabilities, labels, features.schema.named_slices(), known=known)
    assert record["selected_threshold"] == common
    assert run.thresholds.tolist() == output_thresholds(probabilities, labels, known, common).tolist()
    assert len(set(run.thresholds)) > 2
    assert (record["num_train"], record["num_validation"], record["num_test"]) == (8, 4, 6)


def test_groups_that_no_train_tracklet_knows_are_named(tiny_cache: Path, tmp_path: Path, monkeypatch: Any) -> None:
    whole = open_joined([tiny_cache])
    features = replace(whole, known=part_known(whole, share=1.0))
    monkeypatch.setattr("vpar_cache.training.train._open", lambda config: features)
    said: list[str] = []
    train(config(tiny_cache, tmp_path), say=said.append)
    assert [line for line in said if "known label of pose:" in line]
