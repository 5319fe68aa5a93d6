"""MATLAB level 5 files: scipy's own files read the same, and damage is an error, never a crash."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from vpar_cache.base import matlab_file
from vpar_cache.base.matlab_file import read_matrices, read_variables
from vpar_cache.errors import DataError


def saved(variables: dict[str, object], **options: object) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, variables, **options)
    return file.getvalue()


def read(tmp_path: Path, data: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "table.mat"
    path.write_bytes(data)
    return read_matrices(path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "u8", "f4", "f8"])
@pytest.mark.parametrize("shape", [(5, 4), (0, 4)])
def test_what_scipy_writes_is_read_the_same(
    tmp_path: Path, dtype: str, shape: tuple[int, int], compressed: bool
) -> None:
    table = np.arange(shape[0] * shape[1]).reshape(shape).astype(dtype)
    (name, found), *others = read(tmp_path, saved({"t": table}, do_compression=compressed)).items()
    assert (name, others) == ("t", [])
    np.testing.assert_array_equal(found, table)


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    def element(kind: int, content: bytes) -> bytes:
        return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)

    matrix = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 2))
    matrix += element(1, b"table") + element(3, struct.pack(">hh", 258, -1))
    data = bytes(124) + b"\x01\x00MI" + element(14, matrix)
    np.testing.assert_array_equal(read(tmp_path, data)["table"], [[258, -1]])


def test_other_variables_are_passed_over(tmp_path: Path) -> None:
    table = np.array([[1.0, 2.0]])
    others = {"text": "hello", "cell": np.array([[1], "a"], dtype=object), "struct": {"a": 1}, "c": table * 1j}
    data = saved({**others, "cube": np.zeros((2, 2, 2)), "t": table, "sparse": scipy.sparse.csc_matrix(table)})
    assert list(read(tmp_path, data)) == ["t"]


@pytest.mark.parametrize(
    "data",
    [b"", b"x" * 200, saved({"t": np.eye(2)}, format="4"), b"MATLAB 7.3 MAT-file" + bytes(105) + b"\x00\x02IM"],
)
def test_other_files_and_levels_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DataError, match=r"table\.mat is not a MATLAB level 5 file; .* -v7"):
        read(tmp_path, data)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_short_is_refused(tmp_path: Path, compressed: bool) -> None:
    data = saved({"t": np.arange(40).reshape(10, 4)}, do_compression=compressed)
    for length in range(129, len(data), 20):
        with pytest.raises(DataError, match="is damaged"):
            read(tmp_path, data[:length])


def test_a_type_code_outside_the_table_is_refused(tmp_path: Path) -> None:
    """The damage that ends a process which reads it through scipy."""
    data = saved({"t": np.arange(40.0).reshape(10, 4)})
    tag = struct.pack("<II", 9, 320)
    assert data.count(tag) == 1
    for kind in (0, 14, 60_000):
        with pytest.raises(DataError, match=f"type code {kind} is not a number"):
            read(tmp_path, data.replace(tag, struct.pack("<II", kind, 320)))


def test_sizes_that_disagree_are_refused(tmp_path: Path) -> None:
    data = saved({"t": np.arange(40.0).reshape(10, 4)})
    dims = struct.pack("<ii", 10, 4)
    assert data.count(dims) == 1
    for rows, columns in ((10, 5), (-10, -4), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(DataError, match="40 values for"):
            read(tmp_path, data.replace(dims, struct.pack("<ii", rows, columns)))


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved({"a": np.zeros((1000, 4)), "b": np.zeros((1000, 4))}, do_compression=True)
    monkeypatch.setattr(matlab_file, "MAX_BYTES", 70_000)
    assert len(read(tmp_path, data)) == 2
    monkeypatch.setattr(matlab_file, "MAX_BYTES", 50_000)  # enough for one of the two
    with pytest.raises(DataError, match="unpacks to over 50000 bytes"):
        read(tmp_path, data)
    monkeypatch.setattr(matlab_file, "MAX_BYTES", len(data) - 1)
    with pytest.raises(DataError, match="is over"):
        read(tmp_path, data)


def variables(tmp_path: Path, data: bytes) -> dict[str, object]:
    path = tmp_path / "variables.mat"
    path.write_bytes(data)
    return dict(read_variables(path))


@pytest.mark.parametrize("compressed", [False, True])
def test_texts_cells_and_structs_that_scipy_writes_are_read_the_same(tmp_path: Path, compressed: bool) -> None:
    cells = np.array([["a", "ü 漢"], ["", "0003"]], dtype=object)
    inner = {"age": np.array([[1, 2]], np.uint8), "names": cells}
    data = saved({"s": {"train": inner, "a": "x"}, "t": np.eye(2)}, do_compression=compressed)
    found = variables(tmp_path, data)
    assert list(found) == ["s", "t"]
    np.testing.assert_array_equal(found["t"], np.eye(2))
    train = found["s"]["train"]  # type: ignore[index]
    assert (list(found["s"]), found["s"]["a"], list(train)) == (["train", "a"], "x", ["age", "names"])  # type: ignore
    np.testing.assert_array_equal(train["age"], [[1, 2]])
    assert train["names"] == ["a", "", "ü 漢", "0003"]  # column by column


def test_what_has_no_plain_value_is_none(tmp_path: Path) -> None:
    cell = np.array([np.zeros((2, 2, 2)), np.array([[1j]]), "x"], dtype=object)
    assert variables(tmp_path, saved({"c": cell}))["c"] == [None, None, "x"]


def test_cells_cut_short_or_miscounted_are_refused(tmp_path: Path) -> None:
    data = saved({"c": np.array([["a"], ["b"], ["c"]], dtype=object)})
    for length in range(129, len(data), 20):
        with pytest.raises(DataError, match="is damaged"):
            variables(tmp_path, data[:length])
    dims = struct.pack("<ii", 3, 1)
    assert data.count(dims) == 1
    for rows, columns in ((4, 1), (2**31 - 1, 2**31 - 1), (-3, -1)):
        with pytest.raises(DataError, match="is damaged"):
            variables(tmp_path, data.replace(dims, struct.pack("<ii", rows, columns)))


def test_cells_too_deep_in_each_other_are_refused(tmp_path: Path) -> None:
    cell: object = "x"
    for _ in range(matlab_file.MAX_DEPTH + 1):
        outer = np.empty((1, 1), dtype=object)
        outer[0, 0] = cell
        cell = outer
    with pytest.raises(DataError, match="deep in each other"):
        variables(tmp_path, saved({"c": cell}))


def test_several_structs_and_lines_of_text_are_refused(tmp_path: Path) -> None:
    structs = np.zeros((1, 2), dtype=[("a", object)])
    for value in (structs, np.array(["ab", "cd"])):
        with pytest.raises(DataError, match="is damaged"):
            variables(tmp_path, saved({"c": value}))
