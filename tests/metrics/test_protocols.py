"""Both protocols against scikit-learn, brute force, and the published labels of MARS."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, precision_recall_fscore_support

from vpar_cache.attributes.schema import MARS
from vpar_cache.errors import DataError, UserError
from vpar_cache.metrics.inputs import check_inputs
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.protocols import mean_accuracy
from vpar_cache.metrics.scoring import best_threshold, score_block
from vpar_cache.metrics.videopar import VIDEOPAR, VIDEOPAR_THRESHOLD
from vpar_cache.metrics.vtf import VTF, VTF_THRESHOLD

MARS_GROUPS = [(group.name, columns) for group, columns in MARS.slices()]
GROUPS = [("hat", slice(0, 1)), ("pose", slice(1, 4)), ("gender", slice(4, 5)), ("age", slice(5, 7))]
NUM_OUTPUTS = 7


def random_labels(rng, n, groups):
    labels = np.zeros((n, groups[-1][1].stop), np.uint8)
    for _, columns in groups:
        size = columns.stop - columns.start
        if size == 1:
            labels[:, columns.start] = rng.random(n) < 0.4
        else:
            labels[np.arange(n), columns.start + rng.integers(0, size, n)] = 1
    return labels


def brute_force_vtf(probabilities, labels, groups, threshold):
    """The definition, tracklet by tracklet: P, R, F1 of each group."""

    def triple(predicted, true):
        hits = len(predicted & true)
        p = hits / len(predicted) if predicted else 0.0
        r = hits / len(true) if true else 0.0
        return p, r, 2 * p * r / (p + r) if p + r else 0.0

    scores = {}
    for name, columns in groups:
        p, y = probabilities[:, columns], labels[:, columns]
        if p.shape[1] == 1:
            scores[name] = triple(set(np.flatnonzero(p[:, 0] > threshold)), set(np.flatnonzero(y[:, 0])))
        else:
            rows = [
                triple(set(np.flatnonzero(a > threshold)), set(np.flatnonzero(b)))
                for a, b in zip(p, y, strict=True)
            ]
            scores[name] = tuple(np.mean(rows, axis=0))
    return scores


@st.composite
def matrices(draw):
    """Coarse probabilities, so that ties with the threshold, empty rows and empty columns all occur."""
    n = draw(st.integers(1, 12))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    probabilities = rng.choice([0.0, 0.25, 0.45, 0.5, 0.75, 1.0], size=(n, NUM_OUTPUTS))
    if draw(st.booleans()):
        probabilities[:, draw(st.integers(0, NUM_OUTPUTS - 1))] = 0
    return probabilities, random_labels(rng, n, GROUPS), draw(st.sampled_from([0.0, 0.25, 0.45, 0.5, 1.0]))


@settings(max_examples=150, deadline=None)
@given(matrices())
def test_vtf_is_its_definition_tracklet_by_tracklet(data):
    probabilities, labels, threshold = data
    scores = VTF.score(probabilities, labels, GROUPS, threshold)
    expected = brute_force_vtf(probabilities, labels, GROUPS, threshold)
    for name, triple in expected.items():
        found = [scores.groups[name][metric] for metric in ("precision", "recall", "f1")]
        assert found == pytest.approx(triple), name
    means = np.mean(list(expected.values()), axis=0)
    assert [scores.average[m] for m in ("precision", "recall", "f1")] == pytest.approx(means)


def test_vtf_accepts_several_true_classes_and_none():
    labels = np.array([[0, 1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 1, 1, 1]])
    probabilities = np.array([[0.9, 0.9, 0.9, 0.9, 0.1, 0.9, 0.1], [0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1]])
    expected = brute_force_vtf(probabilities, labels, GROUPS, 0.5)
    scores = VTF.score(probabilities, labels, GROUPS, 0.5)
    assert scores.groups["pose"]["f1"] == pytest.approx(expected["pose"][2]) == pytest.approx(0.4)


@settings(max_examples=60, deadline=None)
@given(matrices())
def test_vtf_agrees_with_scikit_learn(data):
    probabilities, labels, threshold = data
    predictions = probabilities > threshold
    scores = VTF.score(probabilities, labels, GROUPS, threshold)
    for name, columns in GROUPS:
        single = columns.stop - columns.start == 1
        y, p = labels[:, columns], predictions[:, columns].astype(int)
        expected = precision_recall_fscore_support(
            y[:, 0] if single else y,
            p[:, 0] if single else p,
            average="binary" if single else "samples",
            zero_division=0,
        )
        found = [scores.groups[name][metric] for metric in ("precision", "recall", "f1")]
        assert found == pytest.approx(expected[:3]), name


@settings(max_examples=150, deadline=None)
@given(matrices())
def test_videopar_agrees_with_scikit_learn(data):
    probabilities, labels, _ = data
    scores = VIDEOPAR.score(probabilities, labels, GROUPS, 0.5)
    for name, columns in GROUPS:
        p, y = probabilities[:, columns], labels[:, columns]
        single = p.shape[1] == 1
        predicted = (p[:, 0] > 0.5).astype(int) if single else p.argmax(axis=1)
        actual = y[:, 0] if single else y.argmax(axis=1)
        classes = [0, 1] if single else range(p.shape[1])
        macro = f1_score(actual, predicted, labels=classes, average="macro", zero_division=0)
        assert scores.groups[name]["f1"] == pytest.approx(macro), name
        assert scores.groups[name]["accuracy"] == pytest.approx(accuracy_score(actual, predicted)), name
    assert scores.average["f1"] == pytest.approx(np.mean([g["f1"] for g in scores.groups.values()]))


def test_videopar_counts_an_absent_class_as_zero():
    labels = np.array([[1, 0, 0], [0, 1, 0]])
    scores = VIDEOPAR.score(labels.astype(float), labels, [("pose", slice(0, 3))], 0.5)
    assert scores.groups["pose"] == {"f1": pytest.approx(2 / 3), "accuracy": 1.0}


def test_videopar_breaks_a_tie_towards_the_first_class():
    labels = np.array([[0, 1, 0]])
    assert VIDEOPAR.score(np.full((1, 3), 0.5), labels, [("pose", slice(0, 3))], 0.5).average["accuracy"] == 0
    assert VIDEOPAR.score([[0.5]], [[0]], [("hat", slice(0, 1))], 0.5).average["accuracy"] == 1


@settings(max_examples=60, deadline=None)
@given(matrices())
def test_scores_are_fractions_and_do_not_depend_on_tracklet_order(data):
    probabilities, labels, threshold = data
    order = np.random.default_rng(0).permutation(len(labels))
    for protocol in (VTF.score, VIDEOPAR.score):
        scores = protocol(probabilities, labels, GROUPS, threshold)
        again = protocol(probabilities[order], labels[order], GROUPS, threshold)
        for name, metrics in scores.groups.items():
            assert all(0 <= value <= 1 for value in metrics.values())
            assert dict(metrics) == pytest.approx(dict(again.groups[name]))


@settings(max_examples=60, deadline=None)
@given(matrices())
def test_perfect_predictions_are_perfect_where_every_class_occurs(data):
    _, labels, threshold = data
    scores = VTF.score(labels.astype(float), labels, GROUPS, min(threshold, 0.5))
    for name, columns in GROUPS:
        if labels[:, columns].any():
            assert scores.groups[name]["f1"] == 1


@settings(max_examples=60, deadline=None)
@given(matrices())
def test_f1_of_means_is_the_harmonic_mean_beside_it_and_never_below_f1(data):
    scores = VTF.score(*data[:2], GROUPS, data[2])
    for metrics in (*scores.groups.values(), scores.average):
        p, r = metrics["precision"], metrics["recall"]
        assert metrics["f1_of_means"] == pytest.approx(2 * p * r / (p + r) if p + r else 0)
        assert metrics["f1_of_means"] >= metrics["f1"] - 1e-12


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_probability_equal_to_the_threshold_is_not_above_it(dtype):
    # 0.3 in float32 is above 0.3 in float64: the comparison must be made in the dtype of the probabilities.
    for threshold in (0.3, 0.45, 0.7):
        p = np.array([[threshold]], dtype)
        above = np.nextafter(p, dtype(1))
        assert VTF.score(p, [[1]], [("hat", slice(0, 1))], threshold).average["f1"] == 0
        assert VTF.score(above, [[1]], [("hat", slice(0, 1))], threshold).average["f1"] == 1
        assert VIDEOPAR.score(p, [[1]], [("hat", slice(0, 1))], threshold).average["accuracy"] == 0


def test_mean_accuracy_is_balanced_accuracy_where_both_classes_occur():
    rng = np.random.default_rng(3)
    predictions, labels = rng.random((50, 4)) > 0.5, rng.random((50, 4)) > 0.3
    expected = [balanced_accuracy_score(labels[:, a], predictions[:, a]) for a in range(4)]
    assert mean_accuracy(predictions, labels) == pytest.approx(expected)


def test_mean_accuracy_without_a_positive_tracklet_has_a_true_positive_rate_of_zero():
    assert mean_accuracy(np.zeros((3, 1), bool), np.zeros((3, 1))) == pytest.approx([0.5])
    assert mean_accuracy(np.ones((3, 1), bool), np.ones((3, 1))) == pytest.approx([0.5])


def test_group_mean_accuracy_averages_over_its_outputs():
    rng = np.random.default_rng(4)
    probabilities, labels = rng.random((30, NUM_OUTPUTS)), random_labels(rng, 30, GROUPS)
    outputs = mean_accuracy(probabilities > 0.45, labels)
    scores = VTF.score(probabilities, labels, GROUPS, 0.45)
    assert scores.groups["pose"]["mA"] == pytest.approx(outputs[1:4].mean())
    assert scores.average["mA"] == pytest.approx(np.mean([outputs[s].mean() for _, s in GROUPS]))


def test_best_threshold_has_the_highest_average_f1_and_is_the_lowest_of_equals():
    rng = np.random.default_rng(5)
    labels = random_labels(rng, 80, GROUPS)
    probabilities = np.clip(0.5 * labels + 0.6 * rng.random(labels.shape), 0, 1)
    candidates = [0.9, 0.35, 0.5, 0.1]
    f1 = {t: VTF.score(probabilities, labels, GROUPS, t).average["f1"] for t in candidates}
    assert best_threshold(probabilities, labels, GROUPS, candidates) == max(f1, key=f1.__getitem__)
    assert best_threshold(labels.astype(float), labels, GROUPS, iter([0.8, 0.2, 0.5])) == 0.2


def test_a_block_holds_both_protocols_and_the_selected_threshold_only_if_there_is_one():
    rng = np.random.default_rng(6)
    probabilities, labels = rng.random((20, NUM_OUTPUTS)), random_labels(rng, 20, GROUPS)
    block = score_block(probabilities, labels, GROUPS, None)
    assert {key: value["threshold"] for key, value in block.items()} == {"vtf": 0.45, "videopar": 0.5}
    assert (VTF_THRESHOLD, VIDEOPAR_THRESHOLD) == (0.45, 0.5)
    block = score_block(probabilities, labels, GROUPS, 0.37)
    assert block["vtf_selected"]["protocol"] == "vtf"
    assert block["vtf_selected"] == VTF.score(probabilities, labels, GROUPS, 0.37).to_dict()
    for value in json.loads(json.dumps(block)).values():
        assert ProtocolScores.from_dict(value).to_dict() == value


def valid():
    labels = np.array([[1, 1, 0, 0, 1, 1, 0], [0, 0, 1, 0, 1, 0, 1]])
    return np.full((2, NUM_OUTPUTS), 0.5), labels


def with_value(array, row, column, value):
    array = array.astype(float)
    array[row, column] = value
    return array


P, Y = valid()


@pytest.mark.parametrize(
    ("probabilities", "labels", "groups", "message"),
    [
        (P[0], Y[0], GROUPS, r"shape \(7,\) and labels \(7,\): both must be \(tracklets, outputs\)"),
        (P, Y[:1], GROUPS, r"shape \(2, 7\) and labels \(1, 7\)"),
        ([[0.5], [0.5, 0.5]], Y, GROUPS, "unequal length"),
        (P.astype(str), Y, GROUPS, "must be numbers; convert"),
        (P[:0], Y[:0], GROUPS, "0 tracklets: .* at least one"),
        (P, Y, GROUPS[:-1], "have 7 outputs, but the groups take 5"),
        (P, Y, GROUPS[::-1], "group 'age' takes .* must start at 0"),
        (with_value(P, 1, 2, np.nan), Y, GROUPS, r"row 1, output 2 \(pose\): probability nan must lie in 0 to 1"),
        (with_value(P, 0, 4, 1.5), Y, GROUPS, r"row 0, output 4 \(gender\): probability 1.5 .* sigmoid"),
        (with_value(P, 0, 0, -0.1), Y, GROUPS, r"probability -0.1 must lie"),
        (P, with_value(Y, 1, 6, 2), GROUPS, r"row 1, output 6 \(age\): label 2.0 must be 0 or 1"),
        (P, with_value(Y, 1, 6, np.nan), GROUPS, "label nan must be 0 or 1"),
    ],
)
@pytest.mark.parametrize("protocol", [VTF.score, VIDEOPAR.score])
def test_arrays_that_do_not_fit_are_refused_by_name(protocol, probabilities, labels, groups, message):
    with pytest.raises(DataError, match=message):
        protocol(probabilities, labels, groups, 0.45)


@pytest.mark.parametrize(("value", "count"), [(0, 0), (1, 2)])
def test_videopar_refuses_a_group_without_exactly_one_class(value, count):
    labels = with_value(Y, 0, 1, value)
    labels[0, 3] = value
    with pytest.raises(DataError, match=rf"row 0, output 1 \(pose\): {count} labels .* exactly one class"):
        VIDEOPAR.score(P, labels, GROUPS, 0.5)
    VTF.score(P, labels, GROUPS, 0.5)


def test_messages_name_the_tracklet_where_names_are_given():
    with pytest.raises(DataError, match="tracklet '0002C1T0001', output 3"):
        check_inputs(with_value(P, 1, 3, np.inf), Y, GROUPS, names=["0001C1T0001", "0002C1T0001"])


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(threshold):
    for call in (VTF.score, VIDEOPAR.score):
        with pytest.raises(UserError, match=r"threshold .* must lie in 0 to 1"):
            call(P, Y, GROUPS, threshold)
    with pytest.raises(UserError, match="must lie in 0 to 1"):
        best_threshold(P, Y, GROUPS, [0.5, threshold])


def test_no_candidate_threshold_is_refused():
    with pytest.raises(UserError, match="0 candidate thresholds"):
        best_threshold(P, Y, GROUPS, [])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("groups"),
        lambda data: data["average"].update(f1=81.9),
        lambda data: data["average"].update(f1=float("nan")),
        lambda data: data["groups"]["hat"].update(f1="0.5"),
        lambda data: data.update(groups=[]),
    ],
)
def test_stored_scores_that_do_not_fit_are_refused(damage):
    data = VTF.score(P, Y, GROUPS, 0.45).to_dict()
    damage(data)
    with pytest.raises(DataError, match="score the predictions again"):
        ProtocolScores.from_dict(data)


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
    vtf = VTF.score(prior, test, MARS_GROUPS, VTF_THRESHOLD)
    f1 = {name: round(100 * metrics["f1"], 2) for name, metrics in vtf.groups.items()}
    assert {name: value for name, value in f1.items() if value} == {
        "top length": 97.00,
        "bottom length": 76.22,
        "bottom type": 93.35,
        "motion": 89.69,
        "age": 78.45,
    }
    average = [round(100 * vtf.average[metric], 2) for metric in ("precision", "recall", "f1")]
    assert average == [29.39, 33.44, 31.05]
    videopar = VIDEOPAR.score(prior, test, MARS_GROUPS, VIDEOPAR_THRESHOLD)
    assert round(100 * videopar.average["f1"], 2) == 32.16
