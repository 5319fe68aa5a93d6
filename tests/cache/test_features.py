"""A cache is opened only when every shard is as its index lists it, and its rows are those that h5py reads."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.small_caches import (
    DIM,
    SHARD_ROWS,
    TOKENS,
    SmallCache,
    edit_shard,
    flip,
    link,
    put,
    write_small_cache,
)
from vpar_cache.cache import features as features_module
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.seal import read_seal, write_seal
from vpar_cache.errors import CacheError

N = sum(sum(rows) for rows in SHARD_ROWS)


def hints_of(cache: SmallCache) -> Path:
    return fmt.shard_folder(cache.index) / "hints.json"


def assert_refused(cache: SmallCache, message: str) -> None:
    """Refused with this message, before any row could be read."""

    def never(*args: object) -> None:
        pytest.fail("shards were opened before the cache was refused")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features_module, "RowArray", never)
        with pytest.raises(CacheError, match=message):
            open_features(cache.index)


# --- what comes back ---


def test_rows_are_those_that_h5py_reads(kept: SmallCache) -> None:
    features = open_features(str(kept.index))
    random = np.random.default_rng(0)
    with h5py.File(kept.index) as file:
        assert set(features.arrays) == {"visual", "frame_embeddings", "augmented", "frame_tokens"}
        for name, array in features.arrays.items():
            whole = file[name][()]
            assert array.shape == whole.shape
            for _ in range(5):
                rows = random.integers(0, len(array), 17)
                np.testing.assert_array_equal(array.gather(rows), whole[rows])
                batches = [batch.copy() for batch in array.batches(rows, 4)]
                np.testing.assert_array_equal(np.concatenate(batches), whole[rows])


def test_splits_give_their_rows_in_order(kept: SmallCache) -> None:
    features = open_features(kept.index)
    assert features.rows_of("train").tolist() == [0, 1, 2, 3, 4]
    assert features.rows_of("test").tolist() == [5, 6, 7, 8, 9]


def test_views_follow_the_plain_rows(kept: SmallCache) -> None:
    features = open_features(kept.index)
    views = kept.arrays["augmented"]  # (N_train, K, tokens, D)
    k = features.num_views
    assert k == views.shape[1]
    together = features.with_views()
    assert together.shape == (N + views.shape[0] * k, TOKENS, DIM)
    rows = together.gather(slice(None))
    np.testing.assert_array_equal(rows[:N], kept.arrays["visual"])
    for train_row in range(views.shape[0]):
        for view in range(k):
            np.testing.assert_array_equal(rows[N + train_row * k + view], views[train_row, view])


def test_a_cache_without_views_has_its_plain_rows_alone(tmp_path: Path) -> None:
    cache = write_small_cache(tmp_path / "a.h5", views=False, frames=False)
    features = open_features(cache.index)
    assert features.num_views == 0
    assert set(features.arrays) == {"visual", "frame_embeddings"}
    assert features.with_views() is features.visual


def test_an_extracted_cache_is_read_as_h5py_reads_it(tiny_cache: Path) -> None:
    features = open_features(tiny_cache)
    with h5py.File(tiny_cache) as file:
        np.testing.assert_array_equal(features.visual.gather(slice(None)), file["visual"][()])
        assert not np.isnan(file["visual"][()]).any()


# --- what was checked before ---


def test_checked_shards_are_remembered_and_changed_ones_checked_again(cache: SmallCache) -> None:
    read: list[int] = []
    open_features(cache.index, read.append)
    assert sum(read) == sum(cache.shard(n).stat().st_size for n in range(4))
    read.clear()
    open_features(cache.index, read.append)
    assert read == []
    os.utime(cache.shard(3))
    open_features(cache.index, read.append)
    assert read == [cache.shard(3).stat().st_size]


@pytest.mark.parametrize("keep_times", [False, True])
@pytest.mark.parametrize("moved", [False, True])
def test_damage_after_the_first_use_is_found_at_the_next(
    cache: SmallCache, tmp_path: Path, keep_times: bool, moved: bool
) -> None:
    open_features(cache.index)
    if moved:
        shutil.copytree(cache.index.parent, tmp_path / "moved")  # with times and hints, as rsync copies
        cache = SmallCache(tmp_path / "moved" / cache.index.name, cache.arrays, cache.contents)
    before = cache.shard(1).stat()
    flip(cache.shard(1), 5000)
    if keep_times:
        os.utime(cache.shard(1), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert_refused(cache, rf"{cache.shard(1).name} is damaged.*4 tracklets from 0001C1T0000 to 0001C1T0003")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"verified": {"shard-00000.h5": 3}}', b"\xff"])
def test_an_invalid_hint_file_only_means_that_all_is_checked(cache: SmallCache, content: bytes) -> None:
    hints_of(cache).write_bytes(content)
    read: list[int] = []
    open_features(cache.index, read.append)
    assert sum(read) == sum(cache.shard(n).stat().st_size for n in range(4))


def test_a_hint_is_for_one_seal(cache: SmallCache) -> None:
    open_features(cache.index)
    known = json.loads(hints_of(cache).read_text())["verified"]
    assert all(entry[-1] == read_seal(cache.shard(n)) for n, entry in enumerate(known.values()))


def test_a_cache_in_a_folder_that_cannot_be_written_is_read(cache: SmallCache) -> None:
    hints_of(cache).unlink(missing_ok=True)
    hints_of(cache).mkdir()  # nothing can be put there, as in a read-only folder
    for _ in range(2):
        assert open_features(cache.index).visual.shape == (N, TOKENS, DIM)


# --- shards that are not those of the index ---


def test_a_missing_or_linked_shard_is_named_with_its_tracklets(cache: SmallCache, tmp_path: Path) -> None:
    cache.shard(1).rename(tmp_path / "elsewhere.h5")
    assert_refused(cache, rf"{cache.shard(1).name}: No such file.*4 tracklets from 0001C1T0000 to 0001C1T0003")
    cache.shard(1).symlink_to(tmp_path / "elsewhere.h5")
    assert_refused(cache, rf"{cache.shard(1).name} is a symbolic link.*cp -L")


def test_a_shard_of_another_cache_is_refused(cache: SmallCache) -> None:
    flip(cache.shard(0), 5000)
    write_seal(cache.shard(0))
    assert_refused(cache, rf"{cache.shard(0).name} is intact, but is not the shard that its index lists")


@pytest.mark.parametrize(
    "edit",
    [
        put("visual", shape=(4, TOKENS, DIM), dtype="<f2", external=[("/etc/passwd", 0, 320)]),
        put("visual", data=np.zeros((4, TOKENS, DIM), "<f2"), compression="gzip"),
        link("visual", h5py.ExternalLink("/etc/passwd", "/x")),
    ],
)
def test_of_an_untrusted_shard_no_more_than_bytes_inside_it_is_read(
    cache: SmallCache, edit: Callable[[h5py.File], object]
) -> None:
    """Whatever HDF5 would follow there: it never opens a shard."""
    edit_shard(cache, 1, edit)
    features = open_features(cache.index)
    extent = features.shards[1].extents["visual"]
    inside = cache.shard(1).read_bytes()[extent.offset :][: 4 * TOKENS * DIM * 2]
    assert features.visual.gather(slice(3, 7)).tobytes() == inside
