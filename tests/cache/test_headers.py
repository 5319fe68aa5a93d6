"""What a shard says of itself is checked against its seal first, and against its index after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.support.small_caches import (
    DIM,
    ENVIRONMENT,
    FRAMES,
    TOKENS,
    VIEWS,
    VISUAL_CONFIG,
    edit_sealed,
    link,
    put,
    shard_contents,
)
from vpar_cache.base.settings import canonical_json
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import read_shard_header, shard_extents
from vpar_cache.cache.writer import write_shard
from vpar_cache.errors import CacheError

CONTENTS = shard_contents(2, (2, 1))
SHAPES = {
    "visual": (9, TOKENS, DIM),
    "frame_embeddings": (9, FRAMES, DIM),
    "augmented": (7, VIEWS, TOKENS, DIM),
    "frame_tokens": (9, FRAMES, TOKENS, DIM),
}
"""Of an index that has more shards."""


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "shard-00002.h5"
    write_shard(path, CONTENTS)
    return path


def extents(path: Path, rows: int = 3, fingerprint: str = CONTENTS.visual_fingerprint, **shapes: Any) -> Any:
    return shard_extents(path, rows, fingerprint, {**SHAPES, **shapes})


def test_a_header_gives_back_what_was_written(shard: Path) -> None:
    header = read_shard_header(shard)
    assert header.visual_fingerprint == CONTENTS.visual_fingerprint
    assert header.visual_config == VISUAL_CONFIG
    assert header.source_digest == CONTENTS.source_digest
    assert header.environment == canonical_json(ENVIRONMENT)
    assert header.seal == fmt.check_seal(shard)
    assert header.tracklet_ids == tuple(CONTENTS.tracklet_ids)
    assert header.skipped == (("0099C1T0001", "train", "x.jpg: 0 bytes, schön leer"),)
    assert header.shapes == {name: array.shape for name, array in CONTENTS.arrays.items()}
    for name, array in CONTENTS.arrays.items():
        np.testing.assert_array_equal(header.row_digests[name], fmt.digest_rows(array))
        mapped = np.memmap(shard, "<f2", "r", header.offsets[name], array.shape)
        np.testing.assert_array_equal(mapped, array)


def test_a_shard_of_which_nothing_was_readable_has_a_header_too(tmp_path: Path) -> None:
    path = tmp_path / "shard-00000.h5"
    write_shard(path, shard_contents(0, (0, 0)))
    header = read_shard_header(path)
    assert header.tracklet_ids == ()
    assert header.shapes["visual"] == (0, TOKENS, DIM)


def test_a_flipped_bit_is_found_before_hdf5_parses_the_file(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)

    def never(*args: object, **options: object) -> None:
        pytest.fail("HDF5 must not see a damaged file")

    monkeypatch.setattr(h5py, "File", never)
    with pytest.raises(CacheError, match="do not match its seal"):
        read_shard_header(shard)


def test_extents_are_where_the_rows_lie(shard: Path) -> None:
    found = extents(shard)
    assert {name: extent.rows for name, extent in found.items()} == {
        "visual": 3, "frame_embeddings": 3, "augmented": 2, "frame_tokens": 3
    }  # fmt: skip
    for name, extent in found.items():
        mapped = np.memmap(extent.path, "<f2", "r", extent.offset, CONTENTS.arrays[name].shape)
        np.testing.assert_array_equal(mapped, CONTENTS.arrays[name])


def compact_visual(file: h5py.File) -> None:
    """Three rows inside the object header: there is no place in the file that could be mapped."""
    del file["visual"]
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((3, TOKENS, DIM))
    h5py.h5d.create(file.id, b"visual", h5py.h5t.py_create(np.dtype("<f2")), space, dcpl=creation)


ROWS = np.ones((3, TOKENS, DIM))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.attrs.__setitem__("visual_fingerprint", "0" * 64), "another fingerprint than its index"),
        (lambda f: f.__delitem__("frame_tokens"), "has no 'frame_tokens'"),
        (link("visual", h5py.ExternalLink("other.h5", "/visual")), "link to elsewhere"),
        (link("visual", h5py.SoftLink("/frame_tokens")), "link to elsewhere"),
        (put("visual", data=ROWS.astype("<f4")), r"visual is float32"),
        (put("visual", data=ROWS.astype(">f2")), r"visual is >f2"),
        (put("visual", data=ROWS.astype("<i2")), r"visual is int16"),
        (put("visual", data=ROWS[:, 1:].astype("<f2")), r"visual is float16 \(3, 4, 8\)"),
        (put("visual", data=ROWS[:2].astype("<f2")), "visual has 2 rows, but its index lists 3"),
        (put("visual", data=ROWS.astype("<f2"), chunks=(1, TOKENS, DIM)), "is not contiguous"),
        (put("visual", data=ROWS.astype("<f2"), compression="gzip"), "is not contiguous"),
        (
            put("visual", shape=(3, TOKENS, DIM), dtype="<f2", external=[("/etc/passwd", 0, 240)]),
            "in another file",
        ),
        (put("visual", shape=(2**40, TOKENS, DIM), dtype="<f2"), "does not lie inside the file"),
        (put("visual", data=["text"], dtype=h5py.string_dtype()), "holds objects"),
    ],
)
def test_a_shard_that_does_not_bear_out_its_index_is_refused(
    shard: Path, edit: Callable[[h5py.File], object], message: str
) -> None:
    edit_sealed(shard, edit)
    fmt.check_seal(shard)
    with pytest.raises(CacheError, match=message):
        extents(shard)


def test_a_compact_array_never_becomes_a_place_to_map(shard: Path) -> None:
    edit_sealed(shard, compact_visual)
    assert extents(shard)["visual"].offset == 0, "which no index may list: the seal lies there"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.__delitem__("tracklet_id"), "has no 'tracklet_id'"),
        (lambda f: f.__delitem__("row_blake3"), "has no 'row_blake3'"),
        (put("visual_config", data=np.bytes_(b"[]")), "visual_config is no JSON dict"),
        (put("skipped", data=np.bytes_(b"[1]")), "no readable feature cache"),
        (put("environment", data=np.array([b"{}"])), "must be a text"),
        (lambda f: f.attrs.__delitem__("source_digest"), "has no attribute 'source_digest'"),
        (lambda f: f.attrs.__setitem__("format_version", 7), "cache format 7"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(
    shard: Path, edit: Callable[[h5py.File], object], message: str
) -> None:
    edit_sealed(shard, edit)
    with pytest.raises(CacheError, match=message):
        read_shard_header(shard)
