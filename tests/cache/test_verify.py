"""No flipped bit, cut, swap or loss in a cache goes unseen, and the report names the shard and its tracklets."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.small_caches import SmallCache, flip, write_small_cache
from vpar_cache.cache import verify as verify_module
from vpar_cache.cache.features import open_features
from vpar_cache.cache.verify import verify_cache
from vpar_cache.errors import CacheError, UserError

LENGTHS = ((3, 0), (3, 0), (0, 0), (0, 9))
"""Two shards of the same size, so that they can be swapped; one without a row."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> SmallCache:
    return write_small_cache(tmp_path_factory.mktemp("small") / "mars.h5", LENGTHS)


def only_problem(cache: SmallCache) -> str:
    (problem,) = verify_cache(cache.index).problems
    assert "\n" not in problem
    assert "run `vpar extract` again with the same options" in problem
    return problem


def test_a_good_cache_passes_and_every_byte_is_counted(kept: SmallCache) -> None:
    seen: list[tuple[int, int]] = []
    result = verify_cache(str(kept.index), lambda done, total: seen.append((done, total)))
    files = [kept.index, *(kept.shard(number) for number in range(4))]
    size = sum(path.stat().st_size for path in files)
    assert result.problems == ()
    assert (result.num_shards, result.num_tracklets, result.num_bytes) == (4, 15, size)
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_extracted_cache_passes(tiny_cache: Path) -> None:
    result = verify_cache(tiny_cache)
    assert (result.problems, result.num_shards, result.num_tracklets) == ((), 4, 18)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_found_and_the_shard_named_with_its_tracklets(
    cache: SmallCache, data: st.DataObject
) -> None:
    number = data.draw(st.sampled_from([0, 3]))
    path = cache.shard(number)
    position, bit = data.draw(st.integers(0, path.stat().st_size - 1)), data.draw(st.integers(0, 7))
    flip(path, position, bit)
    problem = only_problem(cache)
    flip(path, position, bit)
    assert f"{path} is damaged: its bytes do not match its seal" in problem
    held = {0: "0000C1T0000, 0000C1T0001, 0000C1T0002;", 3: "9 tracklets from 0003C1T0000 to 0003C1T0008;"}
    assert f"it holds {held[number]}" in problem


def test_a_flipped_bit_anywhere_in_the_index_is_found(cache: SmallCache) -> None:
    whole = cache.index.read_bytes()
    random = np.random.default_rng(5)
    for position in {0, 511, 512, len(whole) - 1, *random.integers(0, len(whole), 100).tolist()}:
        flip(cache.index, position, int(random.integers(8)))
        with pytest.raises(CacheError, match=r"mars\.h5"):
            verify_cache(cache.index)
        cache.index.write_bytes(whole)


@pytest.mark.parametrize("change", [-1, 1, -100_000])
def test_a_shard_of_another_length_is_found(cache: SmallCache, change: int) -> None:
    path, size = cache.shard(1), cache.shard(1).stat().st_size
    length = max(0, size + change)
    os.truncate(path, length)
    assert f"is damaged: it has {length} bytes instead of {size}" in only_problem(cache)


def test_swapped_shards_are_both_named(cache: SmallCache, tmp_path: Path) -> None:
    one, other = cache.shard(0), cache.shard(1)
    assert one.stat().st_size == other.stat().st_size
    one.rename(tmp_path / "x")
    other.rename(one)
    (tmp_path / "x").rename(other)
    problems = verify_cache(cache.index).problems
    assert len(problems) == 2
    assert all("is intact, but is not the shard that its index lists" in problem for problem in problems)


def test_every_damaged_shard_is_listed(cache: SmallCache) -> None:
    flip(cache.shard(0), 5000)
    cache.shard(1).unlink()
    cache.shard(3).write_bytes(b"")
    first, second, third = verify_cache(cache.index).problems
    assert f"{cache.shard(0).name} is damaged" in first
    assert f"{cache.shard(1).name}: No such file or directory; it holds 0001C1T0000, 0001C1T0001" in second
    assert f"{cache.shard(3).name} is damaged" in third


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_only_a_regular_file_is_opened(cache: SmallCache, make: Callable[[Path], object]) -> None:
    cache.shard(0).unlink()
    make(cache.shard(0))
    assert "is not a regular file" in only_problem(cache)


def test_a_linked_shard_is_not_followed_and_the_copy_that_the_message_says_mends_it(
    cache: SmallCache, tmp_path: Path
) -> None:
    shutil.move(cache.shard(0), tmp_path / "elsewhere.h5")
    cache.shard(0).symlink_to(tmp_path / "elsewhere.h5")
    (problem,) = verify_cache(cache.index).problems
    assert "is a symbolic link" in problem
    assert "remove" not in problem
    subprocess.run(["sh", "-c", problem.partition("in its place: ")[2]], check=True)
    assert verify_cache(cache.index).problems == ()
    assert (tmp_path / "elsewhere.h5").exists()


def test_an_unreadable_place_on_the_disk_is_reported(cache: SmallCache, monkeypatch: pytest.MonkeyPatch) -> None:
    original = verify_module.hash_file

    def fail(path: Path, skip: int) -> str:
        if path == cache.shard(0):
            raise OSError(5, "Input/output error")
        return original(path, skip)

    monkeypatch.setattr(verify_module, "hash_file", fail)
    (problem,) = verify_cache(cache.index).problems
    assert f"{cache.shard(0)}: it cannot be read: Input/output error (error 5)" in problem
    assert "damaged" not in problem


def test_training_is_refused_with_the_same_words(cache: SmallCache) -> None:
    flip(cache.shard(3), 5000)
    with pytest.raises(CacheError) as error:
        open_features(cache.index)
    assert str(error.value) == only_problem(cache)


def test_that_a_shard_was_checked_before_is_not_believed(cache: SmallCache) -> None:
    open_features(cache.index)
    before = cache.shard(0).stat()
    flip(cache.shard(0), 5000)
    os.utime(cache.shard(0), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert f"{cache.shard(0).name} is damaged" in only_problem(cache)


def test_hdf5_never_opens_a_damaged_index_or_any_shard(cache: SmallCache, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    original = h5py.File

    def spy(path: Path, *arguments: object, **options: object) -> h5py.File:
        opened.append(path)
        return original(path, *arguments, **options)

    monkeypatch.setattr(h5py, "File", spy)
    verify_cache(cache.index)
    open_features(cache.index)
    assert set(opened) == {cache.index}
    opened.clear()
    flip(cache.index, 3000)
    with pytest.raises(CacheError, match=r"mars\.h5 is damaged: its bytes do not match its seal"):
        verify_cache(cache.index)
    assert opened == []


def test_anything_but_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        verify_cache(tmp_path / "absent.h5")
    with pytest.raises(UserError, match="is a folder"):
        verify_cache(tmp_path)
    (tmp_path / "noise.h5").write_bytes(bytes(2000))
    with pytest.raises(CacheError, match="no vpar seal"):
        verify_cache(tmp_path / "noise.h5")
