"""An object is believed only when it is what this program writes; nothing is read or followed before that."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.support.small_caches import run_alone
from vpar_cache.cache.hdf5 import (
    child,
    has_child,
    open_hdf5,
    read_array,
    read_attribute,
    read_json,
    read_texts,
    stored_extent,
)
from vpar_cache.errors import CacheError

Edit = Callable[[h5py.File], object]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[Edit], h5py.File]]:
    """An HDF5 file after an edit, open for reading."""
    opened: list[h5py.File] = []

    def write(edit: Edit) -> h5py.File:
        path = tmp_path / f"{len(opened)}.h5"
        with h5py.File(path, "w", userblock_size=512) as file:
            edit(file)
        opened.append(h5py.File(path, "r"))
        return opened[-1]

    yield write
    for file in opened:
        file.close()


def size_of(file: h5py.File) -> int:
    return Path(file.filename).stat().st_size


def numbers(file: h5py.File) -> None:
    file["a"] = np.arange(6, dtype="<i4").reshape(2, 3)


# --- children ---


def test_a_plain_child_is_given(make: Callable[[Edit], h5py.File]) -> None:
    file = make(lambda f: f.create_dataset("g/a", data=[1]))
    assert isinstance(child(file, "g", h5py.Group, "x"), h5py.Group)
    assert child(file["g"], "a", h5py.Dataset, "x")[0] == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "x has no 'a': not a cache that this program wrote"),
        (h5py.SoftLink("/b"), "'a' is a link to elsewhere, which is refused"),
        (h5py.SoftLink("/nowhere"), "'a' is a link to elsewhere"),
        (h5py.ExternalLink("other.h5", "/b"), "'a' is a link to elsewhere"),
    ],
)
def test_a_missing_or_linked_child_is_refused(
    make: Callable[[Edit], h5py.File], target: object, message: str
) -> None:
    def edit(file: h5py.File) -> None:
        file["b"] = [1]
        if target is not None:
            file["a"] = target

    file = make(edit)
    assert has_child(file, "a") == (target is not None)
    with pytest.raises(CacheError, match=message):
        child(file, "a", h5py.Dataset, "x")


def test_a_child_of_another_kind_is_refused(make: Callable[[Edit], h5py.File]) -> None:
    file = make(lambda f: f.create_group("a"))
    with pytest.raises(CacheError, match="'a' is no dataset"):
        child(file, "a", h5py.Dataset, "x")
    with pytest.raises(CacheError, match="'a' is no group"):
        child(make(numbers), "a", h5py.Group, "x")


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trap")  # opening it would wait for ever
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("trap", "/a")
        layout = h5py.VirtualLayout((4,), "<i4", maxshape=(None,))
        source = h5py.VirtualSource("trap", "a", (4,), "<i4", maxshape=(None,))
        layout[0 : h5py.h5s.UNLIMITED] = source[0 : h5py.h5s.UNLIMITED]
        file.create_virtual_dataset("virtual", layout)
    answers = run_alone(
        """
import sys, h5py
from vpar_cache.errors import CacheError
from vpar_cache.cache.hdf5 import child, has_child, read_array, read_text, read_texts
file = h5py.File(sys.argv[1])
print(has_child(file, "link"))
for read in (
    lambda: child(file, "link", h5py.Dataset, "x"),
    lambda: read_array(file, "virtual", "<i4", (None,), 10**6, "x"),
    lambda: read_texts(file, "virtual", None, 10**6, "x"),
    lambda: read_text(file, "virtual", 10**6, "x"),
):
    try:
        print(read())
    except CacheError as error:
        print(error)
""",
        tmp_path / "a.h5",
    ).splitlines()
    assert answers[0] == "True"
    assert "link to elsewhere" in answers[1]
    assert all("/virtual is not contiguous" in answer for answer in answers[2:])
    assert len(answers) == 5


# --- extents ---


def test_the_extent_of_a_contiguous_dataset_is_where_its_bytes_are(make: Callable[[Edit], h5py.File]) -> None:
    file = make(numbers)
    offset = stored_extent(file["a"], size_of(file), "x")
    data = Path(file.filename).read_bytes()
    assert data[offset : offset + 24] == np.arange(6, dtype="<i4").tobytes()


def test_an_empty_dataset_has_no_place(make: Callable[[Edit], h5py.File]) -> None:
    file = make(lambda f: f.create_dataset("a", shape=(0, 5), dtype="<f2"))
    assert stored_extent(file["a"], size_of(file), "x") == 0


def external(file: h5py.File) -> None:
    file.create_dataset("a", (4,), "<i4", external=[("/etc/passwd", 0, 16)])


def compact(file: h5py.File, dtype: str = "<i4", length: int = 4) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((length,))
    h5py.h5d.create(file.id, b"a", h5py.h5t.py_create(np.dtype(dtype)), space, dcpl=creation)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "<i4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (4,), "<i4")
    file.create_virtual_dataset("a", layout)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (external, "keeps its bytes in another file"),
        (virtual, "is not contiguous"),
        (lambda f: f.create_dataset("a", data=np.arange(9), chunks=(3,)), "is not contiguous"),
        (lambda f: f.create_dataset("a", data=np.arange(9), compression="gzip"), "is not contiguous|has filters"),
        (lambda f: f.create_dataset("a", data=["text"], dtype=h5py.string_dtype()), "holds objects"),
        (lambda f: f.create_dataset("a", (1,), dtype=h5py.ref_dtype), "holds objects"),
        (lambda f: f.create_dataset("a", data=[(1, "t")], dtype=[("n", "i4"), ("t", h5py.string_dtype())]), "obj"),
        (lambda f: f.create_dataset("a", (1,) * 6, data=np.zeros((1,) * 6)), "has 6 dimensions"),
        (lambda f: f.create_dataset("a", (2**40, 197, 512), "<f2"), "does not lie inside the file"),
    ],
)  # fmt: skip
def test_a_dataset_that_is_not_plain_bytes_of_this_file_is_refused(
    make: Callable[[Edit], h5py.File], edit: Edit, message: str
) -> None:
    file = make(edit)
    with pytest.raises(CacheError, match=message):
        stored_extent(file["a"], size_of(file), "x")


def test_a_compact_dataset_has_no_place_to_map(make: Callable[[Edit], h5py.File]) -> None:
    file = make(compact)
    assert stored_extent(file["a"], size_of(file), "x") == 0
    assert read_array(file, "a", "<i4", (4,), size_of(file), "x").tolist() == [0, 0, 0, 0]


def test_an_extent_beyond_the_file_is_refused(make: Callable[[Edit], h5py.File]) -> None:
    file = make(numbers)
    end = stored_extent(file["a"], size_of(file), "x") + 24
    assert stored_extent(file["a"], end, "x") == end - 24
    with pytest.raises(CacheError, match="does not lie inside the file"):
        stored_extent(file["a"], end - 1, "x")


# --- arrays and texts ---


@pytest.mark.parametrize(
    ("dtype", "shape"), [("<i4", (2, 2)), ("<i4", (6,)), ("<i4", (2, 3, 1)), ("<f4", (2, 3)), (">i4", (2, 3))]
)
def test_an_array_must_have_its_dtype_and_shape(
    make: Callable[[Edit], h5py.File], dtype: str, shape: tuple[int, ...]
) -> None:
    file = make(numbers)
    with pytest.raises(CacheError, match=r"x: a is int32 \(2, 3\), but must be"):
        read_array(file, "a", dtype, shape, size_of(file), "x")
    for good in ((2, 3), (None, 3), (None, None)):
        assert read_array(file, "a", "<i4", good, size_of(file), "x").sum() == 15


def test_texts_come_back_as_they_were_written(make: Callable[[Edit], h5py.File]) -> None:
    texts = ["", "hat", "Größe 行人", "x" * 300]
    file = make(lambda f: f.create_dataset("a", data=np.array([t.encode() for t in texts])))
    assert read_texts(file, "a", 4, size_of(file), "x") == texts
    assert read_texts(file, "a", None, size_of(file), "x") == texts
    with pytest.raises(CacheError, match="must be 5 texts"):
        read_texts(file, "a", 5, size_of(file), "x")


@pytest.mark.parametrize("data", [np.arange(3), np.array([b"\xff"]), np.array([[b"a"]])])
def test_what_is_no_list_of_texts_is_refused(make: Callable[[Edit], h5py.File], data: Any) -> None:
    file = make(lambda f: f.create_dataset("a", data=data))
    with pytest.raises(CacheError, match=r"texts|UTF-8"):
        read_texts(file, "a", None, size_of(file), "x")


@pytest.mark.parametrize(
    ("stored", "kind", "message"),
    [
        (b'{"a"', dict, "is no JSON;"),
        (b"[1]", dict, "is no JSON dict"),
        (b"{}", list, "is no JSON list"),
        (b"[" * 100_000, list, "is no JSON;"),
        (b"[" + b"9" * 5000 + b"]", list, "is no JSON;"),
        (b"\xff\xfe", dict, "is not UTF-8"),
    ],
)
def test_what_is_no_json_of_its_kind_is_refused(
    make: Callable[[Edit], h5py.File], stored: bytes, kind: Any, message: str
) -> None:
    file = make(lambda f: f.create_dataset("a", data=np.array(stored, dtype=f"S{len(stored)}")))
    with pytest.raises(CacheError, match=message):
        read_json(file, "a", kind, size_of(file), "x")


def test_json_must_be_a_single_text(make: Callable[[Edit], h5py.File]) -> None:
    file = make(lambda f: f.create_dataset("a", data=np.array([b"{}", b"{}"])))
    with pytest.raises(CacheError, match="must be a text"):
        read_json(file, "a", dict, size_of(file), "x")


# --- attributes and files ---


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (None, str, "has no attribute 'a'"),
        (5, str, "must be a str"),
        ("5", int, "must be a int"),
        (5.0, int, "must be a int"),
        ([5, 6], int, "must be a single int"),
        (["a", "b"], str, "must be a single str"),
        (h5py.Empty("S9"), str, "must be a"),
        (np.zeros(8000), int, "must be a single int"),
    ],
)
def test_an_attribute_must_be_of_its_kind(
    make: Callable[[Edit], h5py.File], value: Any, kind: Any, message: str
) -> None:
    file = make(lambda f: value is None or f.attrs.create("a", value))
    with pytest.raises(CacheError, match=message):
        read_attribute(file, "a", kind, "x")


def test_a_fingerprint_is_64_hex_digits(make: Callable[[Edit], h5py.File]) -> None:
    def edit(file: h5py.File) -> None:
        file.attrs["a_fingerprint"], file.attrs["b_fingerprint"] = "0f" * 32, "0F" * 32

    file = make(edit)
    assert read_attribute(file, "a_fingerprint", str, "x") == "0f" * 32
    with pytest.raises(CacheError, match="no fingerprint of 64 hex digits"):
        read_attribute(file, "b_fingerprint", str, "x")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "has no attribute 'format'"),
        ({"format": "other", "format_version": 1}, "is no vpar-features file"),
        ({"format": "vpar-features"}, "has no attribute 'format_version'"),
        ({"format": "vpar-features", "format_version": 2}, "cache format 2, but this program reads format 1"),
        ({"format": "vpar-features", "format_version": "1"}, "must be a int"),
    ],
)
def test_a_file_of_another_make_or_version_is_refused(
    tmp_path: Path, attributes: dict[str, Any], message: str
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update(attributes)

    def read() -> None:
        with open_hdf5(tmp_path / "a.h5"):
            pass

    with pytest.raises(CacheError, match=message):
        read()


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_what_is_no_hdf5_is_a_cache_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(content)

    def read() -> None:
        with open_hdf5(tmp_path / "a.h5"):
            pass

    with pytest.raises(CacheError, match=r"a\.h5 is no readable feature cache"):
        read()
