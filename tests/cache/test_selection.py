"""A cache is used as a sequence of tracklets: by number, slice, mask, list or id; reading is lazy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.support.small_caches import DIM, TOKENS, SmallCache
from vpar_cache.cache.features import Features, open_features
from vpar_cache.cache.rows import RowArray
from vpar_cache.errors import UserError

N = 10


@pytest.fixture(scope="module")
def features(kept: SmallCache) -> Features:
    return open_features(kept.index)


def test_a_cache_is_shown_in_a_few_lines(features: Features, kept: SmallCache) -> None:
    shown = repr(features)
    assert len(shown.splitlines()) == 5
    for part in (
        "klein",
        str(kept.index),
        "10 tracklets (5 train, 5 test)",
        "4 outputs in 2 groups",
        "0 labels unknown, 0 people in train and in test",
        "visual (10, 5, 8)",
        "random:0 (RANDOM WEIGHTS",
        features.visual_fingerprint[:12],
    ):
        assert part in shown
    assert repr(features.split("test")) == "Selection(5 tracklets of klein: 5 test, RANDOM WEIGHTS)"


@pytest.mark.parametrize("row", [0, -1, np.int64(4), "0001C1T0001"])
def test_one_tracklet_by_number_or_id(features: Features, kept: SmallCache, row: Any) -> None:
    number = kept.contents.tracklet_ids.index(row) if isinstance(row, str) else range(N)[row]
    found = features[row]
    assert found.tracklet_id == kept.contents.tracklet_ids[number]
    assert found.split == kept.contents.splits[number]
    assert (found.person_id, found.camera_id) == (number - 1, 1 + number % 6)
    np.testing.assert_array_equal(found.labels, kept.contents.labels[number])
    np.testing.assert_array_equal(found.visual, kept.arrays["visual"][number])


def test_a_cache_is_a_sequence(features: Features, kept: SmallCache) -> None:
    assert len(features) == N
    assert [row.tracklet_id for row in features] == kept.contents.tracklet_ids  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "rows", [slice(2, 9, 3), np.arange(N) % 3 == 0, [True] + [False] * 9, [7, 0, 7], (1, -1), np.array([2]), []]
)
def test_several_tracklets_are_chosen_as_numpy_chooses_them(
    features: Features, kept: SmallCache, rows: Any
) -> None:
    numbers = np.arange(N)[list(rows) if isinstance(rows, tuple) else rows]
    for selection in (features[rows], features.select(rows)):
        assert selection.tracklet_ids == tuple(kept.contents.tracklet_ids[n] for n in numbers)
        assert selection.splits.tolist() == [kept.contents.splits[n] for n in numbers]
        np.testing.assert_array_equal(selection.labels, kept.contents.labels[numbers])
        np.testing.assert_array_equal(selection.visual, kept.arrays["visual"][numbers])
        assert len(selection) == len(numbers)


@pytest.mark.parametrize("kind", [list, np.array])
def test_several_tracklets_by_id_come_in_the_order_of_the_ids(features: Features, kind: Any) -> None:
    ids = ("0003C1T0001", "0000C1T0002", "0003C1T0001")
    assert features[kind(ids)].tracklet_ids == ids


def test_a_selection_is_chosen_from_like_a_cache(features: Features) -> None:
    test = features.split("test")
    assert test[1:3].tracklet_ids == features.tracklet_ids[6:8]
    assert test[-1].tracklet_id == features.tracklet_ids[-1]
    assert len(test.split("train")) == 0
    with pytest.raises(KeyError, match="'0000C1T0000' is not a tracklet of Selection"):
        test["0000C1T0000"]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (N, IndexError),
        ([0, -N - 1], IndexError),
        ([True, False], IndexError),
        ([[0, 1]], IndexError),
        ("0000", KeyError),
        (["0000C1T0000", "0000"], KeyError),
    ],
)  # fmt: skip
def test_a_tracklet_that_is_not_there_is_an_error(features: Features, rows: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        features[rows]


def test_another_split_is_an_error(features: Features) -> None:
    with pytest.raises(UserError, match="split: got 'val'; expected one of train, validation, test"):
        features.split("val")


def test_unknown_labels_and_validation_tracklets_come_with_every_form(partly: SmallCache) -> None:
    features, known = open_features(partly.index), partly.contents.known
    assert "10 tracklets (5 train, 1 validation, 4 test)" in repr(features)
    assert "3 labels unknown" in repr(features)
    assert features.split("validation").tracklet_ids == features.tracklet_ids[5:6]
    np.testing.assert_array_equal(features.known, known)
    np.testing.assert_array_equal(features[[2, 0]].known, known[[2, 0]])
    np.testing.assert_array_equal(features.split("train").to_numpy()["known"], known[:5])
    assert features[1].known.tolist() == [True, False, False, False]
    assert features[[2, 0]][1].known.tolist() == [False, True, True, True]


def test_an_unknown_label_is_nan_in_torch_so_that_no_loss_takes_it_for_a_no(partly: SmallCache) -> None:
    dataset = open_features(partly.index).as_torch()
    labels = torch.stack([labels for _, labels in dataset])  # type: ignore[attr-defined]  # (N, A)
    np.testing.assert_array_equal(labels.isnan().numpy(), ~partly.contents.known)
    np.testing.assert_array_equal(labels.nan_to_num(0).numpy(), partly.contents.labels)


def test_nothing_is_read_before_features_are_asked_for(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object) -> None:
        pytest.fail("rows were read")

    monkeypatch.setattr(RowArray, "gather", never)
    selection = features[features.labels[:, 0] == 1].split("train")[:2]
    assert len(selection.as_torch()) == len(selection) == len(selection.person_ids)


def test_everything_as_numpy_arrays(features: Features, kept: SmallCache) -> None:
    arrays = features.to_numpy()
    assert {len(array) for array in arrays.values()} == {N}
    np.testing.assert_array_equal(arrays["visual"], kept.arrays["visual"])
    assert arrays["tracklet_ids"].tolist() == kept.contents.tracklet_ids
    assert arrays["person_ids"].tolist() == kept.contents.person_ids


@pytest.mark.parametrize(("half", "dtype"), [(False, torch.float32), (True, torch.float16)])
def test_a_torch_dataset_gives_tokens_and_labels(
    features: Features, kept: SmallCache, half: bool, dtype: torch.dtype
) -> None:
    dataset = features.split("test").as_torch(half=half)
    assert isinstance(dataset, torch.utils.data.Dataset)
    ((tokens, labels),) = DataLoader(dataset, batch_size=64)
    assert (tokens.dtype, labels.dtype) == (dtype, torch.float32)
    assert tokens.shape == (5, TOKENS, DIM)
    np.testing.assert_array_equal(tokens.half().numpy(), kept.arrays["visual"][5:])
    np.testing.assert_array_equal(labels.numpy(), kept.contents.labels[5:])


def test_processes_of_a_data_loader_read_the_same_rows(features: Features, kept: SmallCache) -> None:
    loader = DataLoader(features.as_torch(half=True), batch_size=3, num_workers=1)
    np.testing.assert_array_equal(torch.cat([tokens for tokens, _ in loader]).numpy(), kept.arrays["visual"])


def test_a_path_may_be_a_text(kept: SmallCache) -> None:
    assert open_features(str(kept.index)).path == Path(kept.index)
