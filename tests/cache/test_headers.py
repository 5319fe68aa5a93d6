"""What a shard says of itself is checked against its seal before it is parsed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.small_caches import (
    DIM,
    ENVIRONMENT,
    TOKENS,
    VISUAL_CONFIG,
    edit_sealed,
    flip,
    link,
    put,
    shard_contents,
)
from vpar_cache.base.hashing import canonical_json
from vpar_cache.cache.headers import read_shard_header
from vpar_cache.cache.seal import check_seal
from vpar_cache.cache.writer import write_shard
from vpar_cache.errors import CacheError, DamagedError

CONTENTS = shard_contents(2, (2, 1))
ROWS = np.ones((3, TOKENS, DIM), "<f2")


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_shard(tmp_path, CONTENTS)


def test_a_header_gives_back_what_was_written(shard: Path) -> None:
    header = read_shard_header(shard)
    assert header.visual_fingerprint == CONTENTS.visual_fingerprint
    assert header.visual_config == VISUAL_CONFIG
    assert header.source_digests == tuple(CONTENTS.source_digests)
    assert header.environments == (canonical_json(ENVIRONMENT),)
    assert header.weights == CONTENTS.weights
    assert header.file == header.right_name == shard.name
    assert header.seal == check_seal(shard)
    assert header.tracklet_ids == tuple(CONTENTS.tracklet_ids)
    assert header.skipped == (("0099C1T0001", "train", "x.jpg: 0 bytes, schön leer", "9" * 64),)
    assert header.shapes == {name: array.shape for name, array in CONTENTS.arrays.items()}
    for name, array in CONTENTS.arrays.items():
        mapped = np.memmap(shard, "<f2", "r", header.offsets[name], array.shape)
        np.testing.assert_array_equal(mapped, array)


def test_a_shard_of_which_nothing_was_readable_has_a_header_too(tmp_path: Path) -> None:
    header = read_shard_header(write_shard(tmp_path, shard_contents(0, (0, 0))))
    assert header.tracklet_ids == ()
    assert header.shapes["visual"] == (0, TOKENS, DIM)


def test_a_flipped_bit_is_found_before_hdf5_parses_the_file(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(shard, 600)

    def never(*args: object, **options: object) -> None:
        pytest.fail("HDF5 must not see a damaged file")

    monkeypatch.setattr(h5py, "File", never)
    with pytest.raises(CacheError, match="do not match its seal"):
        read_shard_header(shard)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (link("visual", h5py.ExternalLink("other.h5", "/visual")), "link to elsewhere"),
        (put("visual", data=ROWS, compression="gzip"), "is not contiguous"),
        (put("visual", shape=ROWS.shape, dtype="<f2", external=[("/etc/passwd", 0, 240)]), "external storage"),
        (put("visual", shape=(2**40, TOKENS, DIM), dtype="<f2"), "is not inside the file"),
        (lambda f: f.__delitem__("tracklet_id"), "'tracklet_id' is missing"),
        (put("visual_config", data=np.bytes_(b"[]")), "visual_config is not a JSON dict"),
        (put("skipped", data=np.bytes_(b"[1]")), "skipped has '1'"),
        (put("skipped", data=np.bytes_(b'[["a", "train", "why", "12"]]')), "skipped has"),
        (put("visual", data=ROWS[:2]), "visual is float16"),
        (put("visual", data=ROWS.astype("<f4")), "visual is float32"),
        (put("augmented", data=np.ones((4, 3, TOKENS, DIM), "<f2")), "augmented is float16"),
        (put("source_digest", data=np.array([b"0" * 64] * 2)), "source_digest is"),
        (put("source_digest", data=np.array([b"x" * 64] * 3)), "source_digest is not of 64 hex digits"),
        (put("source_digest", data=np.array([b"1" * 64] * 3)), "it holds the rows of shard-[0-9a-f]{16}.h5"),
        (put("environment", data=np.array([b"{}"])), "expected one text"),
        (lambda f: f.__delitem__("source_digest"), "'source_digest' is missing"),
        (lambda f: f.attrs.__setitem__("format_version", 7), "cache format 7"),
    ],
)
def test_an_invalid_header_is_refused(shard: Path, edit: Callable[[h5py.File], object], message: str) -> None:
    edit_sealed(shard, edit)
    with pytest.raises(CacheError, match=message):
        read_shard_header(shard)


def test_a_shard_under_another_name_is_refused(shard: Path) -> None:
    other = shard.rename(shard.with_name("shard-0123456789abcdef.h5"))
    with pytest.raises(DamagedError, match=f"{other.name}: it holds the rows of {shard.name}"):
        read_shard_header(other)
