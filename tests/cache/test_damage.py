"""A damaged shard is found, searched on raw bytes, and named with the arrays and tracklets that were hit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.small_caches import SmallCache, write_small_cache
from vpar_cache.cache import format as fmt
from vpar_cache.cache.damage import ShardInfo, check_shard
from vpar_cache.cache.features import open_features, read_index
from vpar_cache.cache.verify import verify_cache
from vpar_cache.errors import CacheError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

ROWS = ((3, 0), (2, 2), (0, 9))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SmallCache:
    return write_small_cache(tmp_path_factory.mktemp("damage") / "small.h5", ROWS)


@pytest.fixture
def index(whole: SmallCache, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(whole.index.parent, tmp_path / "copy")
    return tmp_path / "copy" / whole.index.name


def shard(index: Path, number: int) -> ShardInfo:
    listed: tuple[ShardInfo, ...] = read_index(index).fields["shards"]
    return listed[number]


def flip(path: Path, position: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        value = file.read(1)[0]
        file.seek(position)
        file.write(bytes([value ^ 1 << bit]))


def refusal(one: ShardInfo) -> str:
    with pytest.raises(CacheError) as error:
        check_shard(one)
    message = str(error.value)
    assert "run `vpar extract` again with the same options" in message
    assert "\n" not in message
    return message


def test_the_index_says_where_every_row_lies_and_what_it_holds(whole: SmallCache) -> None:
    for number, info in enumerate(read_index(whole.index).fields["shards"]):
        data = whole.shard(number).read_bytes()
        for rows in info.arrays:
            values = np.frombuffer(data[rows.extent.offset :][: rows.row_bytes * rows.extent.rows], "<u2")
            with h5py.File(whole.shard(number)) as file:
                np.testing.assert_array_equal(values, file[rows.name][()].ravel().view("<u2"))
                np.testing.assert_array_equal(rows.digests, file[fmt.ROW_DIGESTS][rows.name][()])
            assert len(rows.digests) == len(rows.tracklet_ids)


def test_augmented_rows_belong_to_train_tracklets(whole: SmallCache) -> None:
    owners = {rows.name: list(rows.tracklet_ids) for rows in shard(whole.index, 1).arrays}
    assert owners["visual"] == ["0001C1T0000", "0001C1T0001", "0001C1T0002", "0001C1T0003"]
    assert owners["augmented"] == ["0001C1T0000", "0001C1T0001"]


def test_a_whole_shard_passes_and_every_byte_after_the_seal_is_counted(whole: SmallCache) -> None:
    seen: list[int] = []
    one = shard(whole.index, 0)
    check_shard(one, seen.append)
    assert sum(seen) == one.bytes - fmt.USER_BLOCK_BYTES


@pytest.mark.parametrize("array", fmt.BIG_ARRAYS)
@pytest.mark.parametrize("at", [0.0, 0.5, 0.999])
def test_a_bit_in_a_row_names_its_array_and_its_tracklet_alone(index: Path, array: str, at: float) -> None:
    one = shard(index, 1)
    rows = next(rows for rows in one.arrays if rows.name == array)
    flip(one.path, rows.extent.offset + rows.row_bytes + int(at * rows.row_bytes))
    message = refusal(one)
    assert f"shard-00001.h5 is damaged: /{array} of 0001C1T0001; run" in message
    assert message.count("0001C1T000") == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_is_found_and_no_wrong_row_blamed(index: Path, data: st.DataObject) -> None:
    one = shard(index, data.draw(st.integers(0, 2)))
    position, bit = data.draw(st.integers(0, one.bytes - 1)), data.draw(st.integers(0, 7))
    flip(one.path, position, bit)
    message = refusal(one)
    flip(one.path, position, bit)
    hit = [
        (rows.name, rows.tracklet_ids[(position - rows.extent.offset) // rows.row_bytes])
        for rows in one.arrays
        if 0 <= position - rows.extent.offset < rows.row_bytes * rows.extent.rows
    ]
    if hit:
        assert f"is damaged: /{hit[0][0]} of {hit[0][1]}; run" in message
    else:
        assert "is damaged: its header, outside the rows of" in message


def test_a_truncated_shard_names_all_that_it_lost(index: Path) -> None:
    one = shard(index, 2)
    visual = one.arrays[0]
    os.truncate(one.path, visual.extent.offset + 3 * visual.row_bytes + 1)
    message = refusal(one)
    assert (
        f"bytes long instead of {one.bytes}: /visual of 6 tracklets from 0002C1T0003 to 0002C1T0008; " in message
    )
    assert "/frame_embeddings, /frame_tokens of 9 tracklets from 0002C1T0000 to 0002C1T0008; run" in message


def test_arrays_hit_alike_are_named_together(index: Path) -> None:
    one = shard(index, 0)
    os.truncate(one.path, 600)
    alike = "/visual, /frame_embeddings, /augmented, /frame_tokens of 0000C1T0000, 0000C1T0001, 0000C1T0002; run"
    assert alike in refusal(one)


def test_another_whole_shard_in_its_place_is_said_to_be_one(index: Path) -> None:
    one = shard(index, 1)
    flip(one.path, one.arrays[0].extent.offset)
    fmt.write_seal(one.path)
    assert "is whole, but not the shard that its index lists: /visual of 0001C1T0000; run" in refusal(one)


def test_a_missing_shard_names_what_it_held(index: Path) -> None:
    one = shard(index, 2)
    one.path.unlink()
    message = refusal(one)
    assert "No such file or directory; it holds 9 tracklets from 0002C1T0000 to 0002C1T0008" in message


@pytest.mark.parametrize("make", [lambda p, t: p.symlink_to(t), lambda p, t: os.mkfifo(p), lambda p, t: p.mkdir()])
def test_what_is_no_plain_file_is_not_opened(
    index: Path, tmp_path: Path, make: Callable[[Path, Path], object]
) -> None:
    one = shard(index, 0)
    shutil.copy(one.path, tmp_path / "elsewhere.h5")
    one.path.unlink()
    make(one.path, tmp_path / "elsewhere.h5")
    assert "is no plain file" in refusal(one)


def test_an_unreadable_place_on_the_disk_is_damage(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("vpar_cache.cache.damage.hash_file", fail)
    assert "cannot be read (Input/output error; check the disk)" in refusal(shard(index, 0))


def test_verify_and_training_say_the_same_and_verify_says_all(index: Path) -> None:
    for number in (0, 2):
        one = shard(index, number)
        flip(one.path, one.arrays[0].extent.offset)
    first, second = verify_cache(index).problems
    assert "/visual of 0000C1T0000" in first
    assert "/visual of 0002C1T0000" in second
    with pytest.raises(CacheError) as error:
        open_features(index)
    assert str(error.value) == first


@pytest.mark.parametrize("keep_times", [False, True])
def test_damage_after_the_first_use_is_found_at_the_next(index: Path, keep_times: bool) -> None:
    open_features(index)
    one = shard(index, 1)
    before = one.path.stat()
    flip(one.path, one.arrays[0].extent.offset)
    if keep_times:
        os.utime(one.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(CacheError, match="/visual of 0001C1T0000"):
        open_features(index)


def test_a_copy_does_not_bring_along_that_it_was_checked(index: Path, tmp_path: Path) -> None:
    open_features(index)
    shutil.copytree(index.parent, tmp_path / "moved")  # with times and .verified, as rsync copies
    moved = tmp_path / "moved" / index.name
    one = shard(moved, 1)
    before = one.path.stat()
    flip(one.path, one.arrays[0].extent.offset)
    os.utime(one.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(CacheError, match="/visual of 0001C1T0000"):
        open_features(moved)


def test_a_damaged_index_is_named_and_hdf5_never_sees_it(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(*arguments: object, **options: object) -> None:
        raise AssertionError("HDF5 was given unsealed bytes")

    flip(index, 3000)
    monkeypatch.setattr(h5py, "File", parsed)
    with pytest.raises(CacheError, match=r"small\.h5 is damaged: its bytes do not match its seal"):
        verify_cache(index)


def test_a_damaged_shard_is_searched_without_hdf5(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = shard(index, 0)
    flip(one.path, 700)
    opened: list[str] = []
    original = h5py.File

    def spy(path: Path, *arguments: object, **options: object) -> h5py.File:
        opened.append(str(path))
        return original(path, *arguments, **options)

    monkeypatch.setattr(h5py, "File", spy)
    assert verify_cache(index).problems
    assert opened == [str(index)]


def swap(index: Path) -> set[str]:
    first, second = shard(index, 0).path, shard(index, 2).path
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    return {first.name, second.name}


def flip_in_shard(index: Path) -> set[str]:
    flip(shard(index, 1).path, 5000)
    return {shard(index, 1).path.name}


def truncate(index: Path) -> set[str]:
    os.truncate(shard(index, 3).path, 4000)
    return {shard(index, 3).path.name}


def remove(index: Path) -> set[str]:
    shard(index, 0).path.unlink()
    return {"shard-00000.h5"}


def edit_attribute(index: Path) -> set[str]:
    with h5py.File(shard(index, 2).path, "r+") as file:
        file.attrs["weights"] = "openai"
    return {"shard-00002.h5"}


def damage_index(index: Path) -> set[str]:
    flip(index, 5000)
    return set()


@pytest.mark.parametrize("damage", [swap, flip_in_shard, truncate, remove, edit_attribute, damage_index])
def test_the_same_extraction_again_redoes_what_is_broken_and_nothing_else(
    damage: Callable[[Path], set[str]],
    tiny_cache: Path,
    extract_config: Callable[..., ExtractConfig],
    tmp_path: Path,
) -> None:
    shutil.copytree(tiny_cache.parent, tmp_path / "copy")
    index = tmp_path / "copy" / tiny_cache.name
    broken = damage(index)
    times = {path.name: path.stat().st_mtime_ns for path in fmt.shard_folder(index).glob("*.h5")}
    extract(extract_config(index))
    redone = {p.name for p in fmt.shard_folder(index).glob("*.h5") if p.stat().st_mtime_ns != times.get(p.name)}
    assert redone == broken
    for path in (tiny_cache, *fmt.shard_folder(tiny_cache).glob("*.h5")):
        assert (tmp_path / "copy" / path.relative_to(tiny_cache.parent)).read_bytes() == path.read_bytes()
    assert not verify_cache(index).problems
