"""All protocols together, the choice of a threshold, and scores on the published MARS labels."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.made_up_scores import GROUPS, NUM_OUTPUTS, random_known, random_labels
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.metrics.constants import best_constant
from vpar_cache.metrics.scoring import PROTOCOLS, THRESHOLD_GRID, THRESHOLDS, best_threshold, score_all
from vpar_cache.metrics.vtf import VTF


def test_every_protocol_is_scored_at_its_own_threshold_and_vtf_also_at_a_selected_one():
    rng = np.random.default_rng(6)
    probabilities, labels, known = rng.random((20, NUM_OUTPUTS)), random_labels(rng, 20), random_known(rng, 20)
    scores = score_all(probabilities, labels, GROUPS, known=known)
    expected = {"vtf": 0.45, "videopar": 0.5, "pooled": 0.45, "instance": 0.45}
    assert {name: one.threshold for name, one in scores.items()} == THRESHOLDS == expected
    assert scores == {n: p.score(probabilities, labels, GROUPS, known=known) for n, p in PROTOCOLS.items()}
    selected = score_all(probabilities, labels, GROUPS, 0.37, known=known)["vtf_selected"]
    assert selected == VTF.score(probabilities, labels, GROUPS, 0.37, known=known)
    assert json.loads(json.dumps(selected.to_dict(), allow_nan=False)) == selected.to_dict()


def test_the_best_threshold_has_the_highest_average_f1_over_known_labels_and_is_the_lowest_of_equals():
    rng = np.random.default_rng(5)
    labels, known = random_labels(rng, 80), random_known(rng, 80, 0.5)
    probabilities = np.clip(0.5 * labels + 0.6 * rng.random(labels.shape), 0, 1)
    probabilities[~known] = 0.1  # with these labels too, a low threshold would be the best
    chosen = {}
    for name, mask in (("known", known), ("all", np.ones_like(known))):
        f1 = {t: VTF.score(probabilities, labels, GROUPS, t, known=mask).average["f1"] for t in THRESHOLD_GRID}
        chosen[name] = max(f1, key=f1.__getitem__)
        assert best_threshold(probabilities, labels, GROUPS, known=mask) == chosen[name]
    assert chosen["known"] != chosen["all"]
    assert best_threshold(labels.astype(float), labels, GROUPS) == 0.05


def real_mars_labels(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """(8298, 43) train and (8062, 43) test labels: a label row is of train if its tracklet has train frames."""
    with zipfile.ZipFile(folder / "mars_meta" / "info.zip") as archive:
        frames = archive.read("info/train_name.txt").decode().split()
    train = {(int(name[:4]), int(name[5]), int(name[7:11])) for name in frames}
    rows: dict[bool, list[np.ndarray]] = {True: [], False: []}
    with (folder / "mars_meta" / "mars_attributes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            key = int(row["person_id"]), int(row["camera_id"]), int(row["tracklets_id"])
            rows[key in train].append(MARS.encode({group.name: int(row[group.name]) for group in MARS.groups}))
    return np.stack(rows[True]), np.stack(rows[False])


@pytest.fixture(scope="module")
def mars(real_data):
    """Train and test labels."""
    train, test = real_mars_labels(real_data)
    assert (len(train), len(test)) == (8298, 8062)
    return train, test


def percent(scores, *metrics):
    return [round(100 * scores.average[metric], 2) for metric in metrics]


def test_the_prior_scores_on_the_real_mars_labels_as_measured(mars):
    train, test = mars
    scores = score_all(np.broadcast_to(train.mean(axis=0), test.shape), test, MARS.named_slices())
    f1 = {name: round(100 * metrics["f1"], 2) for name, metrics in scores["vtf"].groups.items()}
    assert {name: value for name, value in f1.items() if value} == {
        "top length": 97.00,
        "bottom length": 76.22,
        "bottom type": 93.35,
        "motion": 89.69,
        "age": 78.45,
    }
    assert percent(scores["vtf"], "precision", "recall", "f1", "mA") == [29.39, 33.44, 31.05, 50]
    assert percent(scores["videopar"], "f1") == [32.16]
    assert percent(scores["pooled"], "f1", "mA") == [31.05, 50]
    assert percent(scores["instance"], "accuracy", "precision", "recall", "f1") == [43.34, 82.28, 46.78, 59.39]
    assert percent(scores["instance"], "mA") == [50]


def test_the_best_constants_score_on_the_real_mars_labels_as_measured(mars):
    train, test = mars
    groups = MARS.named_slices()
    scores = {}
    for name, protocol in PROTOCOLS.items():
        held = best_constant(protocol, train, groups).astype(float)
        scores[name] = protocol.score(np.broadcast_to(held, test.shape), test, groups)
    assert {name: round(100 * metrics["f1"], 2) for name, metrics in scores["vtf"].groups.items()} == {
        "top length": 97.00,
        "bottom length": 76.22,
        "shoulder bag": 40.62,
        "backpack": 40.83,
        "hat": 6.34,
        "hand bag": 26.68,
        "hair": 49.65,
        "gender": 57.01,
        "bottom type": 93.35,
        "pose": 40.44,
        "motion": 89.69,
        "top color": 28.37,
        "bottom color": 40.00,
        "age": 78.45,
    }
    assert percent(scores["vtf"], "precision", "recall", "f1", "mA") == [45.88, 87.97, 54.62, 50]
    assert percent(scores["videopar"], "f1") == [32.16]
    assert percent(scores["pooled"], "f1", "mA") == [54.62, 50]
    assert percent(scores["instance"], "accuracy", "precision", "recall", "f1") == [45.70, 65.54, 58.80, 61.68]
    assert percent(scores["instance"], "mA") == [50]
