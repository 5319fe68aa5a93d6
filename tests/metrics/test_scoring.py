"""What holds for every protocol, the choice of a threshold, and scores on the published MARS labels."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from tests.support.made_up_scores import GROUPS, NUM_OUTPUTS, matrices, random_labels
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.errors import UserError
from vpar_cache.metrics.scoring import PROTOCOLS, THRESHOLD_GRID, best_threshold, score_all, score_block
from vpar_cache.metrics.vtf import VTF


@settings(max_examples=60, deadline=None)
@given(matrices())
def test_scores_are_fractions_and_do_not_depend_on_tracklet_order(data):
    probabilities, labels, threshold = data
    order = np.random.default_rng(0).permutation(len(labels))
    for protocol in PROTOCOLS.values():
        scores = protocol.score(probabilities, labels, GROUPS, threshold)
        again = protocol.score(probabilities[order], labels[order], GROUPS, threshold)
        for name, metrics in scores.groups.items():
            assert all(0 <= value <= 1 for value in metrics.values())
            assert metrics == pytest.approx(again.groups[name])


@settings(max_examples=60, deadline=None)
@given(matrices())
def test_perfect_predictions_are_perfect_where_every_class_occurs(data):
    _, labels, _ = data
    for protocol in PROTOCOLS.values():
        scores = protocol.score(labels.astype(float), labels, GROUPS)
        for name, columns in GROUPS:
            if labels[:, columns].any(axis=0).all() and not labels[:, columns].all():
                assert scores.groups[name]["f1"] == 1


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS.keys())
def test_scores_are_a_function_of_the_summed_terms_for_any_leading_axes(protocol):
    rng = np.random.default_rng(7)
    probabilities, labels = rng.random((30, NUM_OUTPUTS)), random_labels(rng, 30)
    weights = rng.integers(0, 3, (4, 30)).astype(float)  # how often each tracklet counts
    terms = protocol.terms(probabilities, labels.astype(bool), GROUPS, protocol.threshold)
    sums = {name: weights @ values for name, values in terms.items()}
    by_group, average = protocol.scores_of_sums(sums, GROUPS)
    for i, row in enumerate(weights.astype(int)):
        expected = protocol.score(probabilities.repeat(row, axis=0), labels.repeat(row, axis=0), GROUPS)
        assert {metric: values[i] for metric, values in average.items()} == pytest.approx(expected.average)
        for group, metrics in by_group.items():
            assert {m: values[i] for m, values in metrics.items()} == pytest.approx(expected.groups[group])


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(threshold):
    for protocol in PROTOCOLS.values():
        with pytest.raises(UserError, match=rf"threshold {threshold} must lie in 0 to 1"):
            protocol.score([[0.5]], [[1]], [("hat", slice(0, 1))], threshold)


def test_every_protocol_is_scored_at_its_own_threshold_and_vtf_also_at_a_selected_one():
    rng = np.random.default_rng(6)
    probabilities, labels = rng.random((20, NUM_OUTPUTS)), random_labels(rng, 20)
    scores = score_all(probabilities, labels, GROUPS)
    assert {name: one.threshold for name, one in scores.items()} == {"vtf": 0.45, "videopar": 0.5}
    selected = score_all(probabilities, labels, GROUPS, 0.37)["vtf_selected"]
    assert selected == VTF.score(probabilities, labels, GROUPS, 0.37)
    block = score_block(probabilities, labels, GROUPS, 0.37)
    assert json.loads(json.dumps(block)) == block
    assert block["vtf_selected"] == selected.to_dict()


def test_the_best_threshold_has_the_highest_average_f1_and_is_the_lowest_of_equals():
    rng = np.random.default_rng(5)
    labels = random_labels(rng, 80)
    probabilities = np.clip(0.5 * labels + 0.6 * rng.random(labels.shape), 0, 1)
    f1 = {t: VTF.score(probabilities, labels, GROUPS, t).average["f1"] for t in THRESHOLD_GRID}
    assert best_threshold(probabilities, labels, GROUPS) == max(f1, key=f1.__getitem__)
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


def test_the_prior_scores_on_the_real_mars_labels_as_measured(real_data):
    train, test = real_mars_labels(real_data)
    assert (len(train), len(test)) == (8298, 8062)
    prior = np.broadcast_to(train.mean(axis=0), test.shape)
    scores = score_all(prior, test, MARS.named_slices())
    f1 = {name: round(100 * metrics["f1"], 2) for name, metrics in scores["vtf"].groups.items()}
    assert {name: value for name, value in f1.items() if value} == {
        "top length": 97.00,
        "bottom length": 76.22,
        "bottom type": 93.35,
        "motion": 89.69,
        "age": 78.45,
    }
    average = [round(100 * scores["vtf"].average[metric], 2) for metric in ("precision", "recall", "f1")]
    assert average == [29.39, 33.44, 31.05]
    assert round(100 * scores["videopar"].average["f1"], 2) == 32.16
