"""Every damage to a sealed file is found on raw bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from vpar_cache.cache.format import USER_BLOCK_BYTES
from vpar_cache.cache.seal import check_seal, read_seal, write_seal
from vpar_cache.errors import CacheError

BODY = bytes(range(256)) * 8


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    path.write_bytes(bytes(USER_BLOCK_BYTES) + BODY)
    write_seal(path)
    return path


def test_the_seal_is_one_line_over_all_bytes_after_the_user_block(sealed: Path) -> None:
    line = f"vpar-seal 2 blake3:{blake3(BODY).hexdigest()}\n".encode()
    assert sealed.read_bytes() == line + bytes(USER_BLOCK_BYTES - len(line)) + BODY
    assert read_seal(sealed) == check_seal(sealed) == blake3(BODY).hexdigest()


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, USER_BLOCK_BYTES + len(BODY) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.h5"
    path.write_bytes(bytes(USER_BLOCK_BYTES) + BODY)
    write_seal(path)
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(CacheError, match=r"flipped\.h5"):
        check_seal(path)


@pytest.mark.parametrize("length", [0, 85, 512, 512 + len(BODY) - 1])
def test_any_truncation_is_found(sealed: Path, length: int) -> None:
    sealed.write_bytes(sealed.read_bytes()[:length])
    with pytest.raises(CacheError, match=r"a\.h5 .*seal"):
        check_seal(sealed)


def test_an_appended_byte_is_found(sealed: Path) -> None:
    sealed.write_bytes(sealed.read_bytes() + b"\0")
    with pytest.raises(CacheError, match="do not match its seal"):
        check_seal(sealed)


def test_another_version_in_the_seal_is_named(sealed: Path) -> None:
    sealed.write_bytes(sealed.read_bytes().replace(b"vpar-seal 2 ", b"vpar-seal 1 ", 1))
    with pytest.raises(CacheError, match=r"got cache format 1; expected format 2\. Extract the cache again"):
        check_seal(sealed)


def test_a_file_that_cannot_be_read_is_a_cache_error(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="No such file"):
        check_seal(tmp_path / "absent.h5")
    with pytest.raises(CacheError, match="Is a directory"):
        check_seal(tmp_path)
