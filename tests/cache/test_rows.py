"""Rows come out of the files exactly as brute force would pick them."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vpar_cache.cache.rows import Extent, RowArray
from vpar_cache.errors import CacheError

LENGTHS = (3, 0, 1, 7, 0, 2)
ROW = (2, 5)


def values() -> np.ndarray:
    """(13, 2, 5)"""
    return np.arange(sum(LENGTHS) * 10).reshape(-1, *ROW).astype("<f2")


def write_extents(folder: Path) -> list[Extent]:
    extents, start = [], 0
    for number, rows in enumerate(LENGTHS):
        path, offset = folder / f"{number}.bin", 7 * number + 1  # no alignment is needed
        path.write_bytes(bytes([255]) * offset + values()[start : start + rows].tobytes() + b"after")
        extents.append(Extent(path, offset, rows))
        start += rows
    return extents


@pytest.fixture(scope="module")
def array(tmp_path_factory: pytest.TempPathFactory) -> RowArray:
    return RowArray(write_extents(tmp_path_factory.mktemp("rows")), ROW)


def test_its_shape_is_that_of_all_extents(array: RowArray) -> None:
    assert array.shape == (13, 2, 5)
    assert len(array) == 13
    assert array.dtype == np.dtype("<f2")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 12), max_size=40))
def test_gathered_rows_are_those_asked_for_in_their_order(array: RowArray, rows: list[int]) -> None:
    chosen = np.array(rows, dtype=np.int64)
    gathered = array.gather(chosen)
    np.testing.assert_array_equal(gathered, values()[chosen])
    assert gathered.flags.writeable


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 12), max_size=40))
def test_a_window_holds_the_rows_asked_for_in_their_order(array: RowArray, rows: list[int]) -> None:
    chosen = np.array(rows, dtype=np.int64)
    np.testing.assert_array_equal(array.window(chosen), values()[chosen])


def test_a_window_reads_rows_that_follow_each_other_at_once(
    array: RowArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, preadv = [], os.preadv

    def counted(file: int, parts: list[memoryview], place: int) -> int:
        sizes.append(len(parts[0]) // array._row_bytes)
        return preadv(file, parts, place)

    monkeypatch.setattr(os, "preadv", counted)
    array.window(np.random.default_rng(0).permutation(13))
    assert sizes == [3, 1, 7, 2]
    sizes.clear()
    array.window(np.array([9, 4, 5, 7]))
    assert sizes == [2, 1, 1]


@pytest.mark.parametrize("kind", [np.array, list, tuple])
def test_a_boolean_mask_chooses_the_rows_where_it_is_true(array: RowArray, kind: Any) -> None:
    mask = np.arange(13) % 3 == 1
    np.testing.assert_array_equal(array.gather(kind(mask.tolist())), values()[mask])
    with pytest.raises(IndexError):
        array.gather(mask[:-1])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 12), max_size=40), size=st.integers(1, 50))
def test_batches_are_the_gathered_rows_in_pieces(array: RowArray, rows: list[int], size: int) -> None:
    chosen = np.array(rows, dtype=np.int64)
    batches = [batch.copy() for batch in array.batches(chosen, size)]
    assert [len(batch) for batch in batches] == [len(rows[i : i + size]) for i in range(0, len(rows), size)]
    if batches:
        np.testing.assert_array_equal(np.concatenate(batches), values()[chosen])


def test_a_batch_stays_valid_until_the_next_is_asked_for(array: RowArray) -> None:
    rows = np.arange(13)
    batches = array.batches(rows, 2)
    for start in range(0, 13, 2):
        batch = next(batches)
        for _ in range(50):  # the next one is being gathered meanwhile
            np.testing.assert_array_equal(batch, values()[start : start + 2])


def test_three_buffers_serve_all_batches(array: RowArray) -> None:
    places = {batch.__array_interface__["data"][0] for batch in array.batches(np.arange(13), 3)}
    assert len(places) == 3


def test_batches_may_be_left_early(array: RowArray) -> None:
    for batch in array.batches(np.arange(13), 2):
        assert len(batch) == 2
        break


@pytest.mark.parametrize(
    "rows", [np.arange(13) % 3 == 0, [True] + [False] * 12, slice(2, 9, 3), slice(None), (4, 1), [-1, 0], []]
)
def test_rows_are_chosen_as_numpy_chooses_them(array: RowArray, rows: Any) -> None:
    wanted = values()[list(rows) if isinstance(rows, tuple) else rows]
    np.testing.assert_array_equal(array.gather(rows), wanted)


@pytest.mark.parametrize("rows", [[13], [-14], [True, False], [[0], [1]], [0.5], 3])
def test_rows_that_are_not_there_are_an_error(array: RowArray, rows: Any) -> None:
    with pytest.raises(IndexError):
        array.gather(rows)


def test_a_copy_in_another_process_opens_its_own_files(array: RowArray) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(array.gather, (slice(3),)), values()[:3])


def test_short_reads_are_completed(array: RowArray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.preadv

    def seven_bytes(file: int, parts: list[memoryview], place: int) -> int:
        return whole(file, [parts[0][:7]], place)

    monkeypatch.setattr(os, "preadv", seven_bytes)
    backwards = values()[::-1]  # new memory may still hold the values in their usual order
    np.testing.assert_array_equal(array.gather(slice(None, None, -1)), backwards)


def test_no_rows_at_all_are_an_empty_array(tmp_path: Path) -> None:
    empty = RowArray([Extent(tmp_path / "absent", 0, 0)], ROW)
    assert empty.gather(np.array([], dtype=np.int64)).shape == (0, 2, 5)
    assert list(empty.batches(np.array([], dtype=np.int64), 4)) == []


def test_a_file_cut_short_after_it_was_opened_is_an_error(tmp_path: Path) -> None:
    extents = write_extents(tmp_path)
    array = RowArray(extents, ROW)
    with extents[3].path.open("r+b") as file:
        file.truncate(60)
    np.testing.assert_array_equal(array.gather(np.array([0, 12])), values()[[0, 12]])
    with pytest.raises(CacheError, match=r"3\.bin became shorter"):
        array.gather(np.arange(13))


def test_rows_are_those_of_the_file_that_was_opened(tmp_path: Path) -> None:
    extents = write_extents(tmp_path)
    array = RowArray(extents, ROW)
    (tmp_path / "other").write_bytes(bytes(1000))
    (tmp_path / "other").replace(extents[0].path)
    np.testing.assert_array_equal(array.gather(np.arange(13)), values())


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"absent: No such file or directory;"):
        RowArray([Extent(tmp_path / "absent", 0, 3)], ROW)


MANY_FILES = """
import resource, sys
from pathlib import Path
import numpy as np
from vpar_cache.cache.rows import Extent, RowArray
count, hard = 300, int(sys.argv[2])
folder = Path(sys.argv[1])
for number in range(count):
    (folder / str(number)).write_bytes(np.full(4, number, "<f2").tobytes())
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
array = RowArray([Extent(folder / str(number), 0, 1) for number in range(count)], (4,))
assert (array.gather(np.arange(count))[:, 0] == np.arange(count)).all()
"""


def test_more_files_than_the_usual_limit_can_be_open(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MANY_FILES, str(tmp_path)]
    subprocess.run([*command, "1000"], check=True)
    done = subprocess.run([*command, "150"], capture_output=True, text=True, check=False)
    assert "Too many open files" in done.stderr
    assert "raise the limit on open files (ulimit -n)" in done.stderr


def test_of_more_files_than_stay_open_the_rows_are_right_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpar_cache.cache.rows._MOST_OPEN", 2)
    extents = write_extents(tmp_path)
    array = RowArray(extents, ROW)
    before = len([*Path("/dev/fd").iterdir()])
    chosen = np.random.default_rng(0).integers(0, 13, 500)
    for batch, numbers in zip(array.batches(chosen, 50), chosen.reshape(-1, 50), strict=True):
        np.testing.assert_array_equal(batch, values()[numbers])
    assert len([*Path("/dev/fd").iterdir()]) == before
    array._open.cache_clear()
    assert len([*Path("/dev/fd").iterdir()]) == before - 2


def test_views_follow_as_rows_of_their_own(array: RowArray, tmp_path: Path) -> None:
    views = np.arange(3 * 2 * 10).reshape(3, 2, *ROW).astype("<f2") + 1000  # (3, K, 2, 5)
    (tmp_path / "views.bin").write_bytes(views.tobytes())
    together = array.followed_by(RowArray([Extent(tmp_path / "views.bin", 0, 3)], (2, *ROW)))
    assert together.shape == (19, *ROW)
    rows = together.gather(np.arange(19))
    np.testing.assert_array_equal(rows[:13], values())
    np.testing.assert_array_equal(rows[13:], views.reshape(6, *ROW))
