"""No flipped bit, cut, swap or loss in a cache goes unseen, and the report names the file and the tracklets."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.small_caches import SmallCache, write_small_cache
from vpar_cache.cache.features import read_index
from vpar_cache.cache.verify import verify_cache
from vpar_cache.errors import CacheError, UserError

LENGTHS = ((3, 0), (3, 0), (0, 0), (0, 3))
"""Two shards of the same size, so that they can be swapped; one without a row."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> SmallCache:
    return write_small_cache(tmp_path_factory.mktemp("small") / "mars.h5", LENGTHS)


@pytest.fixture
def cache(kept: SmallCache, tmp_path: Path) -> SmallCache:
    shutil.copytree(kept.index.parent, tmp_path / "copy")
    return SmallCache(tmp_path / "copy" / kept.index.name, kept.arrays, kept.contents)


def flip(path: Path, position: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def only_problem(cache: SmallCache) -> str:
    (problem,) = verify_cache(cache.index).problems
    return problem


def test_a_good_cache_passes_and_every_byte_is_counted(kept: SmallCache) -> None:
    seen: list[tuple[int, int]] = []
    result = verify_cache(kept.index, lambda done, total: seen.append((done, total)))
    files = [kept.index, *(kept.shard(number) for number in range(4))]
    size = sum(path.stat().st_size for path in files)
    assert result.problems == ()
    assert (result.num_shards, result.num_tracklets, result.num_bytes) == (4, 9, size)
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_extracted_cache_passes(tiny_cache: Path) -> None:
    result = verify_cache(tiny_cache)
    assert (result.problems, result.num_shards, result.num_tracklets) == ((), 4, 18)


@pytest.mark.parametrize("number", range(4))
def test_a_flipped_bit_anywhere_in_a_shard_is_found_and_the_shard_named(cache: SmallCache, number: int) -> None:
    path = cache.shard(number)
    whole = path.read_bytes()
    random = np.random.default_rng(number)
    for position in {0, 511, 512, len(whole) - 1, *random.integers(0, len(whole), 60).tolist()}:
        flip(path, position, int(random.integers(8)))
        assert f"{path} is damaged" in only_problem(cache)
        path.write_bytes(whole)
    assert verify_cache(cache.index).problems == ()


def test_the_tracklet_and_the_array_that_were_hit_are_named(cache: SmallCache) -> None:
    shards = read_index(cache.index).fields["shards"]
    for number, shard in enumerate(shards):
        whole = shard.path.read_bytes()
        for rows in shard.arrays:
            for row, tracklet_id in enumerate(rows.tracklet_ids):
                flip(shard.path, rows.extent.offset + row * rows.row_bytes + rows.row_bytes // 2, 3)
                problem = only_problem(cache)
                assert f"{cache.shard(number).name} is damaged: /{rows.name} of {tracklet_id};" in problem
                shard.path.write_bytes(whole)


def test_damage_outside_the_rows_says_so(cache: SmallCache) -> None:
    flip(cache.shard(0), 700, 0)
    assert "its header, outside the rows of 0000C1T0000, 0000C1T0001, 0000C1T0002" in only_problem(cache)


def test_a_flipped_bit_anywhere_in_the_index_is_found(cache: SmallCache) -> None:
    whole = cache.index.read_bytes()
    random = np.random.default_rng(5)
    for position in {0, 511, 512, len(whole) - 1, *random.integers(0, len(whole), 100).tolist()}:
        flip(cache.index, position, int(random.integers(8)))
        with pytest.raises(CacheError, match=r"mars\.h5"):
            verify_cache(cache.index)
        cache.index.write_bytes(whole)


@pytest.mark.parametrize("left", [0, 100, 511, 512, 4096, -1])
def test_a_cut_shard_is_found(cache: SmallCache, left: int) -> None:
    whole = cache.shard(1).read_bytes()
    cut = whole[:left]
    cache.shard(1).write_bytes(cut)
    assert f"is damaged, {len(cut)} bytes long instead of {len(whole)}" in only_problem(cache)


def test_a_cut_index_is_found(cache: SmallCache) -> None:
    cache.index.write_bytes(cache.index.read_bytes()[:-1])
    with pytest.raises(CacheError, match="do not match its seal"):
        verify_cache(cache.index)


def test_an_appended_byte_is_found(cache: SmallCache) -> None:
    cache.shard(0).write_bytes(cache.shard(0).read_bytes() + b"\0")
    assert "shard-00000.h5 is damaged" in only_problem(cache)


def test_swapped_shards_are_both_named(cache: SmallCache, tmp_path: Path) -> None:
    one, other = cache.shard(0), cache.shard(1)
    assert one.stat().st_size == other.stat().st_size
    one.rename(tmp_path / "x")
    other.rename(one)
    (tmp_path / "x").rename(other)
    problems = verify_cache(cache.index).problems
    assert len(problems) == 2
    assert all("is whole, but not the shard that its index lists" in problem for problem in problems)
    assert "0000C1T0000" in problems[0]
    assert "0001C1T0000" in problems[1]


def test_a_missing_shard_is_named_with_its_tracklets(cache: SmallCache) -> None:
    cache.shard(3).unlink()
    problem = only_problem(cache)
    assert "shard-00003.h5: No such file" in problem
    assert "0003C1T0000, 0003C1T0001, 0003C1T0002" in problem


def test_every_broken_shard_is_listed(cache: SmallCache) -> None:
    flip(cache.shard(0), 5000, 1)
    cache.shard(1).unlink()
    cache.shard(3).write_bytes(b"")
    problems = verify_cache(cache.index).problems
    assert [f"shard-0000{number}.h5" in problem for number, problem in zip((0, 1, 3), problems, strict=True)] == [
        True
    ] * 3


def test_an_old_index_over_new_shards_is_found(cache: SmallCache, tmp_path: Path) -> None:
    other = write_small_cache(tmp_path / "other" / "mars.h5", ((3, 0), (3, 0), (0, 0), (0, 3)), frames=False)
    shutil.copy(other.shard(1), cache.shard(1))
    assert "shard-00001.h5 is damaged" in only_problem(cache)


def test_the_memory_of_earlier_checks_is_not_trusted(cache: SmallCache) -> None:
    from vpar_cache.cache.features import open_features

    open_features(cache.index)
    flip(cache.shard(0), 5000, 1)
    assert "shard-00000.h5 is damaged" in only_problem(cache)


def test_what_is_no_index_is_refused(cache: SmallCache, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        verify_cache(tmp_path / "absent.h5")
    with pytest.raises(UserError, match="is a folder"):
        verify_cache(tmp_path)
    (tmp_path / "noise.h5").write_bytes(bytes(2000))
    with pytest.raises(CacheError, match="no vpar seal"):
        verify_cache(tmp_path / "noise.h5")
