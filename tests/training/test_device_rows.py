"""Batches on the device that trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vpar_cache.cache.rows import Extent, RowArray
from vpar_cache.training.device_rows import DeviceRows

CPU = torch.device("cpu")
SHAPE = (3, 4)


@pytest.fixture
def rows(tmp_path: Path) -> tuple[RowArray, np.ndarray]:
    """An array in two files, and all its values."""
    values = np.random.default_rng(0).standard_normal((11, *SHAPE)).astype("<f2")
    for name, part in (("a", values[:7]), ("b", values[7:])):
        (tmp_path / name).write_bytes(part.tobytes())
    return RowArray([Extent(tmp_path / "a", 0, 7), Extent(tmp_path / "b", 0, 4)], SHAPE), values


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_batches_are_the_rows_in_their_order_wherever_they_are_kept(
    rows: tuple[RowArray, np.ndarray], resident: bool, batch_size: int
) -> None:
    array, values = rows
    order = np.random.default_rng(1).permutation(11)[:9]
    batches = [batch.clone() for batch in DeviceRows(array, CPU, resident).batches(order, batch_size)]
    assert [len(batch) for batch in batches] == [len(order[i : i + batch_size]) for i in range(0, 9, batch_size)]
    assert torch.equal(torch.cat(batches), torch.from_numpy(values[order]))
    assert batches[0].dtype == torch.float16


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("lengths", [[9], [4, 4, 1], [1, 1, 7], [3, 0, 6], [2, 5, 2, 0]])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_windows_give_the_same_batches_as_their_rows_at_once(
    rows: tuple[RowArray, np.ndarray], resident: bool, lengths: list[int], batch_size: int
) -> None:
    array, values = rows
    order = np.random.default_rng(1).permutation(11)[:9]
    windows = np.split(order, np.cumsum(lengths)[:-1])
    batches = [batch.clone() for batch in DeviceRows(array, CPU, resident).windows(windows, batch_size)]
    assert [len(batch) for batch in batches] == [len(order[i : i + batch_size]) for i in range(0, 9, batch_size)]
    assert torch.equal(torch.cat(batches), torch.from_numpy(values[order]))


def test_on_a_cpu_rows_stay_in_their_files(rows: tuple[RowArray, np.ndarray]) -> None:
    assert DeviceRows(rows[0], CPU)._all is None


@pytest.mark.parametrize(("free", "resident"), [(11 * 12 * 2, False), (11 * 12 * 4, True)])
def test_on_a_gpu_rows_stay_there_where_they_leave_room_for_the_model(
    rows: tuple[RowArray, np.ndarray], monkeypatch: pytest.MonkeyPatch, free: int, resident: bool
) -> None:
    """The GPU is made up; moving rows to one is not tested here."""
    from vpar_cache.training import device_rows

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10 * free))
    assert device_rows._fits(rows[0], torch.device("cuda:0")) is resident
