"""An object is read only when it is what this program writes; nothing is followed before that."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from vpar_cache.cache.hdf5 import CheckedFile, Texts, open_hdf5
from vpar_cache.errors import CacheError

Edit = Callable[[h5py.File], object]
Make = Callable[[Edit], CheckedFile]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """An HDF5 file after an edit, open for reading."""
    path = tmp_path / "x.h5"
    opened: list[h5py.File] = []

    def write(edit: Edit) -> CheckedFile:
        with h5py.File(path, "w", userblock_size=512) as file:
            edit(file)
        opened.append(h5py.File(path, "r"))
        return CheckedFile(opened[-1], path)

    yield write
    for file in opened:
        file.close()


def numbers(file: h5py.File) -> None:
    file["a"] = np.arange(6, dtype="<i4").reshape(2, 3)


# --- links ---


def test_a_dataset_in_a_group_is_found(make: Make) -> None:
    file = make(lambda f: f.create_dataset("g/a", data=[1]))
    assert "g" in file
    assert file.dataset("g/a")[0] == 1


@pytest.mark.parametrize("name", ["a", "g/a", "b/a"])
def test_a_missing_dataset_is_named(make: Make, name: str) -> None:
    with pytest.raises(CacheError, match=f"'{name}' is missing"):
        make(lambda f: (f.create_group("g"), f.create_dataset("b", data=[1]))).dataset(name)


@pytest.mark.parametrize("target", [h5py.SoftLink("/b"), h5py.ExternalLink("other.h5", "/b")])
def test_a_link_is_refused(make: Make, target: object) -> None:
    def edit(file: h5py.File) -> None:
        file.create_group("b")["a"] = [1]
        file["a"] = target

    file = make(edit)
    assert "a" in file
    for name in ("a", "a/a"):
        with pytest.raises(CacheError, match="'a' is a link to elsewhere"):
            file.dataset(name)


def test_a_group_is_not_a_dataset(make: Make) -> None:
    with pytest.raises(CacheError, match="'a' is not a dataset"):
        make(lambda f: f.create_group("a")).dataset("a")


# --- bytes inside the file ---


def test_stored_bytes_are_where_they_are_said_to_be(make: Make, tmp_path: Path) -> None:
    _, offset = make(numbers).stored("a")
    data = (tmp_path / "x.h5").read_bytes()
    assert data[offset : offset + 24] == np.arange(6, dtype="<i4").tobytes()


def compact(file: h5py.File) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(file.id, b"a", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((4,)), dcpl=creation)


def test_a_compact_dataset_has_no_place_to_map(make: Make) -> None:
    file = make(compact)
    assert file.stored("a")[1] == 0
    assert file.array("a", "<i4", (4,)).tolist() == [0, 0, 0, 0]


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "<i4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (4,), "<i4")
    file.create_virtual_dataset("a", layout)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.create_dataset("a", (4,), "<i4", external=[("/etc/passwd", 0, 16)]), "external storage"),
        (virtual, "is not contiguous"),
        (lambda f: f.create_dataset("a", data=np.arange(9), compression="gzip"), "is not contiguous"),
        (lambda f: f.create_dataset("a", data=["text"], dtype=h5py.string_dtype()), "objects"),
        (lambda f: f.create_dataset("a", data=[(1, "t")], dtype=[("n", "i4"), ("t", h5py.string_dtype())]), "obj"),
        (lambda f: f.create_dataset("a", (2**40, 197, 512), "<f2"), "is not inside the file"),
    ],
)  # fmt: skip
def test_a_dataset_that_is_not_plain_bytes_of_this_file_is_refused(make: Make, edit: Edit, message: str) -> None:
    with pytest.raises(CacheError, match=message):
        make(edit).stored("a")


def test_bytes_beyond_the_end_of_the_file_are_refused(make: Make) -> None:
    file = make(numbers)
    _, offset = file.stored("a")
    file._bytes = offset + 24
    assert file.stored("a")[1] == offset
    file._bytes -= 1
    with pytest.raises(CacheError, match="is not inside the file"):
        file.stored("a")


# --- values ---


@pytest.mark.parametrize(("dtype", "shape"), [("<i4", (2, 2)), ("<i4", (6,)), ("<f4", (2, 3)), (">i4", (2, 3))])
def test_an_array_must_have_its_dtype_and_shape(make: Make, dtype: str, shape: tuple[int, ...]) -> None:
    file = make(numbers)
    with pytest.raises(CacheError, match=r"a is int32 \(2, 3\); expected"):
        file.array("a", dtype, shape)
    for good in ((2, 3), (None, 3), (None, None)):
        assert file.array("a", "<i4", good).sum() == 15


def test_texts_come_back_as_they_were_written(make: Make) -> None:
    texts = ["", "hat", "Größe 行人", "x" * 300]
    file = make(lambda f: f.create_dataset("a", data=np.array([t.encode() for t in texts])))
    assert file.texts("a", 4) == file.texts("a") == texts
    with pytest.raises(CacheError, match="expected 5 texts"):
        file.texts("a", 5)


@pytest.mark.parametrize("data", [np.arange(3), np.array([b"\xff"]), np.array([[b"a"]])])
def test_anything_but_a_list_of_texts_is_refused(make: Make, data: Any) -> None:
    with pytest.raises(CacheError, match=r"texts|UTF-8"):
        make(lambda f: f.create_dataset("a", data=data)).texts("a")


WORDS = ("0001C1T0001", "", "schön", "前")
DIGESTS = ("00" * 32, "0123456789abcdef" * 4, "ab" * 31 + "00")


def stored_texts(make: Make, values: tuple[str, ...]) -> Texts:
    file = make(lambda f: f.create_dataset("a", data=np.array([value.encode() for value in values])))
    return file.digests("a", 3) if values is DIGESTS else file.texts("a")


@pytest.mark.parametrize("values", [WORDS, DIGESTS])
def test_texts_are_read_as_a_tuple_is(make: Make, values: tuple[str, ...]) -> None:
    texts = stored_texts(make, values)
    assert texts == values
    assert (len(texts), tuple(texts), texts[-1], texts.index(values[1])) == (len(values), values, values[-1], 1)
    assert isinstance(texts[1:], Texts)
    assert texts[1:] == values[1:]
    assert texts != values[1:]
    assert values[2] in texts
    with pytest.raises(IndexError):
        texts[len(values)]


def test_texts_travel_between_processes(make: Make) -> None:
    assert pickle.loads(pickle.dumps(stored_texts(make, DIGESTS))) == DIGESTS  # noqa: S301


def test_a_digest_takes_32_bytes_of_memory(make: Make) -> None:
    assert stored_texts(make, DIGESTS).values.nbytes == 32 * len(DIGESTS)


@pytest.mark.parametrize(
    "values", [[b"0" * 64] * 2, [b"0" * 63] * 3, [b"0" * 63 + b"G"] * 3, [b"0" * 63, *[b"0" * 64] * 2]]
)
def test_anything_but_64_hex_digits_in_each_row_is_refused(make: Make, values: list[bytes]) -> None:
    with pytest.raises(CacheError, match=r"digests|hex digits"):
        make(lambda f: f.create_dataset("a", data=np.array(values))).digests("a", 3)


@pytest.mark.parametrize(
    ("stored", "kind", "message"),
    [
        (b'{"a"', dict, "is not JSON"),
        (b"[1]", dict, "is not a JSON dict"),
        (b"{}", list, "is not a JSON list"),
        (b"[" * 100_000, list, "is not JSON"),
        (b"\xff\xfe", dict, "is not UTF-8"),
    ],
)
def test_anything_but_json_of_its_kind_is_refused(make: Make, stored: bytes, kind: Any, message: str) -> None:
    file = make(lambda f: f.create_dataset("a", data=np.array(stored, dtype=f"S{len(stored)}")))
    with pytest.raises(CacheError, match=message):
        file.json("a", kind)


@pytest.mark.parametrize(
    ("value", "kind"),
    [(5, str), ("5", int), (5.0, int), ([5, 6], int), (h5py.Empty("S9"), str), (np.zeros(8000), int)],
)
def test_an_attribute_must_be_one_value_of_its_kind(make: Make, value: Any, kind: Any) -> None:
    with pytest.raises(CacheError, match=f"attribute 'a' is not one {kind.__name__}"):
        make(lambda f: f.attrs.create("a", value)).attribute("a", kind)


def test_a_fingerprint_is_64_hex_digits(make: Make) -> None:
    file = make(lambda f: f.attrs.update({"a": "0f" * 32, "b": "0F" * 32}))
    assert file.fingerprint("a") == "0f" * 32
    with pytest.raises(CacheError, match="'b' is not 64 hex digits"):
        file.fingerprint("b")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "attribute 'format' is missing"),
        ({"format": "other", "format_version": 1}, "its format is 'other'; expected vpar-features"),
        (
            {"format": "vpar-features", "format_version": 1},
            "got cache format 1; expected format 2",
        ),
    ],
)
def test_a_file_of_another_format_or_version_is_refused(
    tmp_path: Path, attributes: dict[str, Any], message: str
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update(attributes)
    with pytest.raises(CacheError, match=message), open_hdf5(tmp_path / "a.h5"):
        pass


@pytest.mark.parametrize("content", [b"text", b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_anything_but_hdf5_is_a_cache_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(CacheError, match=r"a\.h5 is not a readable feature cache"), open_hdf5(tmp_path / "a.h5"):
        pass
