"""Several caches as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.support.small_caches import VIEWS, SmallCache, edit_sealed, write_small_cache
from vpar_cache.cache.features import open_features
from vpar_cache.cache.hints import ENCODE_SECONDS, Hints
from vpar_cache.cache.joined import JoinedFeatures, open_joined
from vpar_cache.errors import UserError

SIZES = (((3, 0), (2, 2), (0, 0), (0, 3)), ((4, 1), (0, 2)))


@pytest.fixture
def caches(tmp_path: Path) -> list[SmallCache]:
    """Two caches, of which the second repeats tracklet ids and person ids of the first."""
    return [
        write_small_cache(tmp_path / f"{name}.h5", rows, made_of=name)
        for name, rows in zip("ab", SIZES, strict=True)
    ]


def join(caches: list[SmallCache], **changes: Any) -> JoinedFeatures:
    return open_joined([cache.index for cache in caches], **changes)


def test_its_rows_are_those_of_the_caches_one_after_the_other(caches: list[SmallCache]) -> None:
    joined, parts = join(caches), [open_features(cache.index) for cache in caches]
    assert len(joined) == sum(map(len, parts)) == 17
    assert joined.tracklet_ids == [*parts[0].tracklet_ids, *parts[1].tracklet_ids]
    for name in ("labels", "known", "splits", "camera_ids", "num_frames", "quality"):
        expected = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(getattr(joined, name), expected)
    order = np.random.default_rng(0).permutation(17)
    for name in parts[0].arrays:
        if name == "augmented":
            continue
        whole = np.concatenate([cache.arrays[name] for cache in caches])
        np.testing.assert_array_equal(joined.arrays[name].gather(order), whole[order])


def test_the_views_of_train_tracklet_i_follow_all_rows(caches: list[SmallCache]) -> None:
    joined = join(caches)
    views = np.concatenate([cache.arrays["augmented"] for cache in caches])  # (9, K, tokens, D)
    array = joined.with_views()
    assert joined.num_views == VIEWS
    assert len(array) == 17 + 9 * VIEWS
    for i in range(9):
        for k in range(VIEWS):
            np.testing.assert_array_equal(array.gather([17 + i * VIEWS + k])[0], views[i, k])


def test_people_of_two_caches_are_different_unless_the_user_says_otherwise(
    caches: list[SmallCache],
) -> None:
    parts = [open_features(cache.index) for cache in caches]
    apart, same = join(caches), join(caches, same_people=True)
    assert not set(apart.person_ids[:10]) & set(apart.person_ids[10:])
    assert len(set(apart.person_ids)) == sum(len(set(part.person_ids)) for part in parts)
    np.testing.assert_array_equal(same.person_ids, np.concatenate([part.person_ids for part in parts]))
    assert len(set(same.person_ids)) == 10
    assert apart.shared_people == 0
    train, test = (set(same.person_ids[same.splits == split]) for split in ("train", "test"))
    assert same.shared_people == len(train & test) > 0


def test_rows_of_one_cache_keep_the_person_ids_of_that_cache(caches: list[SmallCache]) -> None:
    joined, second = join(caches), open_features(caches[1].index)
    np.testing.assert_array_equal(joined.people_of(np.arange(10, 17)), second.person_ids)
    np.testing.assert_array_equal(joined.people_of(np.array([0, 16])), joined.person_ids[[0, 16]])


def test_one_cache_is_itself(caches: list[SmallCache]) -> None:
    joined, features = join(caches[:1]), open_features(caches[0].index)
    assert (joined.seal, joined.dataset, joined.where) == (features.seal, "klein", str(features.path))
    np.testing.assert_array_equal(joined.person_ids, features.person_ids)


def test_datasets_of_one_name_get_a_number(caches: list[SmallCache]) -> None:
    joined = join(caches)
    assert joined.dataset == "klein"
    assert joined.datasets_of(np.array([0, 9, 10, 16])) == ["klein 1", "klein 1", "klein 2", "klein 2"]


def test_the_seal_depends_on_every_cache_and_their_order(caches: list[SmallCache]) -> None:
    seals = {join(chosen).seal for chosen in (caches, caches[::-1], caches[:1], caches[1:])}
    assert len(seals) == 4


def change(name: str, old: bytes, new: bytes, kind: str = "") -> Any:
    """Return an edit of a stored text, and of the fingerprint that stands for it."""

    def edit(file: h5py.File) -> None:
        if kind:
            file.attrs[f"{kind}_fingerprint"] = "0" * 64
        text = bytes(file[name][()])
        assert old in text
        changed = text.replace(old, new)
        del file[name]
        file[name] = np.array(changed, h5py.string_dtype("utf-8", len(changed)))

    return edit


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (change("meta/schema", b"no hat", b"no cap"), r"schema.*no cap.*no hat"),
        (change("meta/visual_config", b'"frames":2', b'"frames":3', "visual"), r"frames: 3, not 2"),
        (change("meta/visual_config", b'"tiny"', b'"huge"', "visual"), r"encoder.*backbone: 'huge', not 'tiny'"),
        (change("meta/text_config", b"100.0", b"99.0", "text"), r"text.*logit_scale: 99.0, not 100.0"),
    ],
)
def test_a_cache_of_other_settings_is_refused_with_both_files_and_the_difference(
    caches: list[SmallCache], edit: Any, told: str
) -> None:
    edit_sealed(caches[1].index, edit)
    with pytest.raises(UserError, match=told) as error:
        join(caches)
    assert all(str(cache.index) in str(error.value) for cache in caches)
    assert "\n" not in str(error.value)


def test_caches_with_a_tracklet_in_common_are_refused(caches: list[SmallCache], tmp_path: Path) -> None:
    """Also where its rows lie in other shards."""
    other = write_small_cache(tmp_path / "c.h5", SIZES[0][:1], made_of="a")
    for twin, count in ((caches[0], 10), (other, 3)):
        with pytest.raises(
            UserError, match=rf"{caches[0].index} and {twin.index}, .* {count} tracklets in common"
        ):
            join([caches[0], caches[1], twin])


def test_weights_of_two_names_may_be_the_same(caches: list[SmallCache]) -> None:
    edit_sealed(caches[1].index, lambda file: file.attrs.__setitem__("weights", "mine.pt"))
    assert len(join(caches)) == 17


def test_an_id_of_two_caches_chooses_no_tracklet(caches: list[SmallCache]) -> None:
    joined = join(caches)
    with pytest.raises(KeyError, match=f"{joined.tracklet_ids[0]}.*several"):
        joined[joined.tracklet_ids[0]]
    assert joined.select([joined.tracklet_ids[9]]).rows.tolist() == [9]
    assert joined.select(np.arange(10)).select([joined.tracklet_ids[0]]).rows.tolist() == [0]


def test_the_seconds_of_the_encoder_are_the_mean_over_tracklets(caches: list[SmallCache]) -> None:
    assert join(caches).encode_seconds is None
    for cache, seconds in zip(caches, (1.0, 3.0), strict=True):
        hints = Hints(cache.index)
        hints.put("timing", ENCODE_SECONDS, seconds)
        hints.save()
    assert join(caches).encode_seconds == pytest.approx((10 * 1.0 + 7 * 3.0) / 17)


def test_caches_without_known_people_cannot_hold_the_same_people(caches: list[SmallCache]) -> None:
    def forget(file: h5py.File) -> None:
        file.attrs["people_known"] = 0
        file.attrs["shared_people"] = 0

    edit_sealed(caches[1].index, forget)
    joined = join(caches)
    assert joined.people_of(np.arange(10)) is not None
    assert joined.people_of(np.arange(10, 17)) is None
    assert joined.people_of(np.arange(17)) is None
    with pytest.raises(UserError, match=r"--same-people.*b\.h5"):
        join(caches, same_people=True)
