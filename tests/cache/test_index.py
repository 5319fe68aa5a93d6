"""An index is read back exactly, and refused when it is invalid, however well it is sealed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.small_caches import (
    DIM,
    ENVIRONMENT,
    SCHEMA,
    SHARD_ROWS,
    TEXT_DIM,
    TOKENS,
    VISUAL_CONFIG,
    SmallCache,
    edit_sealed,
    link,
    put,
    run_alone,
)
from vpar_cache.base.lock import sole_writer
from vpar_cache.cache import format as fmt
from vpar_cache.cache.index import read_index
from vpar_cache.cache.seal import check_seal, write_seal
from vpar_cache.cache.writer import write_index
from vpar_cache.errors import CacheError, UserError

N = sum(sum(rows) for rows in SHARD_ROWS)
BIG = (N, TOKENS, DIM)
SHARD = "shard-0123456789abcdef.h5"


@pytest.fixture
def index(kept: SmallCache, tmp_path: Path) -> Path:
    """A copy to change. Its shards are missing: no test here needs one."""
    return Path(shutil.copy(kept.index, tmp_path / kept.index.name))


# --- what comes back ---


def test_every_field_comes_back(kept: SmallCache) -> None:
    index, contents = read_index(str(kept.index)), kept.contents
    assert index.path == kept.index
    assert index.dataset == "klein"
    assert index.schema == SCHEMA
    assert index.weights == "random:0"
    assert index.random_weights
    assert index.seal == check_seal(kept.index)
    assert index.visual_fingerprint == contents.visual_fingerprint
    assert index.text_fingerprint == contents.text_fingerprint
    assert index.visual_config == VISUAL_CONFIG
    assert index.text_config == contents.text_config
    assert index.environments == [ENVIRONMENT]
    assert list(index.source_digests) == [d for shard in contents.shards for d in shard.source_digests]
    assert index.shapes == {name: array.shape for name, array in kept.arrays.items()}
    assert index.tracklet_ids == tuple(contents.tracklet_ids)
    assert index.splits.tolist() == contents.splits
    assert index.person_ids.tolist() == contents.person_ids
    assert index.camera_ids.tolist() == contents.camera_ids
    assert index.num_frames.tolist() == contents.num_frames
    np.testing.assert_array_equal(index.labels, contents.labels)
    assert index.known.all()
    assert (index.people_known, index.shared_people) == (True, 0)
    np.testing.assert_array_equal(index.quality, contents.quality)
    np.testing.assert_array_equal(index.text, contents.text_embeddings)
    np.testing.assert_array_equal(index.text_negative, contents.negative_embeddings)
    assert index.prompts == ("ein Hut", "前", "side", "back")
    assert index.negative_prompts == ("kein Hut", "", "", "")
    assert (index.grid, index.prefix_tokens) == ((2, 2), 1)


def test_unknown_labels_come_back_and_are_counted_by_group(partly: SmallCache) -> None:
    index = read_index(partly.index)
    np.testing.assert_array_equal(index.known, partly.contents.known)
    assert index.known.dtype == np.bool_
    assert not index.labels[~index.known].any()
    assert index.count_unknown() == {"hat": 1, "pose": 2}
    assert index.count_splits() == {"train": 5, "validation": 1, "test": 4}


@pytest.mark.parametrize(("people_known", "shared"), [(True, 2), (False, 0)])
def test_people_of_train_and_test_are_counted_where_people_are_known(
    partly: SmallCache, tmp_path: Path, people_known: bool, shared: int
) -> None:
    people = [1, 2, 2, 3, 4, 9, 2, 3, 5, 9]  # 9 is in validation and test
    contents = replace(partly.contents, person_ids=people, people_known=people_known)
    write_index(tmp_path / "mars.h5", contents)
    index = read_index(tmp_path / "mars.h5")
    assert (index.people_known, index.shared_people) == (people_known, shared)


def test_shards_are_listed_with_their_tracklets_and_where_their_rows_are(kept: SmallCache) -> None:
    shards = read_index(kept.index).shards
    assert [shard.rows for shard in shards] == [sum(rows) for rows in SHARD_ROWS]
    assert [name for shard in shards for name in shard.tracklet_ids] == kept.contents.tracklet_ids
    for number, shard in enumerate(shards):
        assert (shard.path, shard.bytes) == (kept.shard(number), kept.shard(number).stat().st_size)
        data = shard.path.read_bytes()
        with h5py.File(shard.path) as file:
            for name, extent in shard.extents.items():
                stored = file[name][()].tobytes()
                assert data[extent.offset : extent.offset + len(stored)] == stored
                assert extent.rows == len(file[name])


# --- what is not an index ---


@pytest.mark.parametrize("content", [b"", bytes(4096), b"\x89HDF\r\n\x1a\n" * 200])
def test_a_file_without_a_seal_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(CacheError, match=r"a\.h5 has no vpar seal in its first 512 bytes"):
        read_index(tmp_path / "a.h5")


def test_random_bytes_with_a_good_seal_are_still_refused(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(bytes(512) + np.random.default_rng(0).bytes(3000))
    write_seal(tmp_path / "a.h5")
    with pytest.raises(CacheError, match=r"a\.h5 is not a readable feature cache"):
        read_index(tmp_path / "a.h5")


def test_a_folder_a_pipe_or_nothing_is_a_user_error(kept: SmallCache, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder; give the index beside it, .*mars\.h5"):
        read_index(fmt.shard_folder(kept.index))
    with pytest.raises(UserError, match="does not exist; make it with `vpar extract"):
        read_index(tmp_path / "absent.h5")
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(UserError, match="is not a regular file"):
        read_index(tmp_path / "pipe.h5")


def test_a_cache_that_is_being_written_says_who_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "mars.h5"
    with (
        sole_writer(path),
        pytest.raises(UserError, match=f"{path} is not complete: process {os.getpid()} on host"),
    ):
        read_index(path)
    with pytest.raises(UserError, match="does not exist"):
        read_index(path)


def test_a_link_to_an_index_is_the_index_that_it_leads_to(kept: SmallCache, tmp_path: Path) -> None:
    (tmp_path / "link.h5").symlink_to(kept.index)
    linked, index = read_index(tmp_path / "link.h5"), read_index(kept.index)
    assert linked.path == kept.index
    assert [shard.path for shard in linked.shards] == [shard.path for shard in index.shards]
    (tmp_path / "broken.h5").symlink_to(tmp_path / "store" / "mars.h5")
    with pytest.raises(UserError, match=f"{tmp_path}/store/mars.h5 does not exist"):
        read_index(tmp_path / "broken.h5")


def test_a_shard_is_not_an_index(kept: SmallCache) -> None:
    with pytest.raises(CacheError, match="'split' is missing"):
        read_index(kept.shard(0))


def test_a_renamed_index_is_refused_with_the_reason(index: Path) -> None:
    renamed = index.rename(index.with_name("duke.h5"))
    with pytest.raises(
        CacheError, match=r"takes rows from 'mars/shard-[0-9a-f]{16}\.h5'.*An index keeps its name"
    ):
        read_index(renamed)


# --- invalid indexes, sealed ---


def virtual(name: str, file: str, dataset: str, shape: tuple[int, ...]) -> Callable[[h5py.File], object]:
    def edit(index: h5py.File) -> None:
        del index[name]
        layout = h5py.VirtualLayout(shape, "<f2")
        layout[:] = h5py.VirtualSource(file, dataset, shape, "<f2")
        index.create_virtual_dataset(name, layout)

    return edit


def set_field(table: str, field: str, row: int, value: object) -> Callable[[h5py.File], object]:
    def edit(index: h5py.File) -> None:
        rows = index[table][()]
        rows[field][row] = value
        index[table][...] = rows

    return edit


def layout(text: bytes) -> Callable[[h5py.File], object]:
    return put("meta/visual_config", data=np.bytes_(text))


def arrays(**changes: object) -> Callable[[h5py.File], object]:
    """Other shapes of big arrays, None: it is not listed. No virtual dataset disagrees."""

    def edit(index: h5py.File) -> None:
        listed = {**json.loads(index["meta/arrays"][()]), **changes}
        put("meta/arrays", data=np.bytes_(json.dumps({n: s for n, s in listed.items() if s is not None})))(index)
        for name in fmt.BIG_ARRAYS:
            del index[name]

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (link("labels", h5py.SoftLink("/quality")), "'labels' is a link to elsewhere"),
        (link("text", h5py.ExternalLink("other.h5", "/text")), "'text' is a link to elsewhere"),
        (put("visual", shape=BIG, dtype="<f2", external=[("/etc/passwd", 0, 800)]), "not a virtual dataset"),
        (virtual("visual", "/etc/passwd", "visual", BIG), "takes rows from '/etc/passwd'"),
        (virtual("visual", f"mars/../other/{SHARD}", "visual", BIG), "expected mars/shard-HEX.h5"),
        (virtual("visual", f"mars/{SHARD}", "visual", (2**40, TOKENS, DIM)), "not the shape of meta/arrays"),
        (virtual("visual", f"mars/{SHARD}", "visual", (N, DIM)), "not the shape of meta/arrays"),
        (arrays(visual=[N, DIM]), "no /visual of three dimensions"),
        (arrays(visual=None), "no /visual of three dimensions"),
        (arrays(visual=[N, 5.0, DIM]), "meta/arrays is not of shapes"),
        (arrays(visual=[N, 0, DIM]), "meta/arrays is not of shapes"),
        (arrays(visuals=[N, TOKENS, DIM]), "meta/arrays is not of shapes"),
        (arrays(frame_tokens=None), "extents is"),
        (arrays(visual=[2**40, TOKENS, DIM]), "does not list the"),
        (arrays(augmented=[N, 3, TOKENS, DIM]), "not list the 10"),
        (virtual("augmented", f"mars/{SHARD}", "augmented", (N, 3, TOKENS, DIM)), "not the shape of meta/arrays"),
        (put("tracklet_id", data=np.array([b"same"] * N)), "tracklet_id must be unique"),
        (put("split", data=np.array([b"train"] * 5 + [b"val"] * 5)), "split must be train, .*or none"),
        (put("split", data=np.array([b"test"] * N)), "does not fit /augmented"),
        (put("known", data=np.full((N, 4), 2, "u1")), "known must be 0 or 1"),
        (put("known", data=np.tile(np.array([1, 1, 1, 0], "u1"), (N, 1))), "known must be the same for all"),
        (put("known", data=np.zeros((N, 4), "u1")), "labels must be 0 or 1, and 0 where unknown"),
        (put("known", data=np.ones((N, 4), "?")), "known is bool"),
        (lambda f: f.__delitem__("known"), "'known' is missing"),
        (lambda f: f.attrs.__setitem__("people_known", 2), "people_known must be 0 or 1"),
        (lambda f: f.attrs.__setitem__("people_known", "yes"), "'people_known' is not one int"),
        (lambda f: f.attrs.__setitem__("shared_people", 3), "shared_people must be 0"),
        (lambda f: f.attrs.__setitem__("format_version", 1), "got cache format 1; expected format 2"),
        (put("source_digest", data=np.array([b"0" * 64] * (N - 1))), "source_digest is"),
        (put("source_digest", data=np.array([b"X" * 64] * N)), "source_digest is not of 64 hex digits"),
        (put("labels", data=np.full((N, 4), 7, "u1")), "labels must be 0 or 1"),
        (put("labels", data=np.zeros((N, 5), "u1")), r"labels is uint8 \(10, 5\); expected"),
        (put("text/embeddings", data=np.full((4, TEXT_DIM), np.nan, "<f4")), "text/embeddings must be finite"),
        (put("text/negative", data=np.zeros((4, TEXT_DIM + 1), "<f4")), r"negative is float32 \(4, 8\); expected"),
        (put("meta/schema", data=np.bytes_(b'{"name":"x"}')), "stored schema"),
        (layout(b"{}"), "do not make 5 tokens"),
        (layout(b'{"grid":[true,4],"prefix_tokens":1}'), "do not make 5 tokens"),
        (put("shards", data=np.zeros(0, fmt.SHARD_ROW)), "extents is"),
        (set_field("shards", "file", 0, b"../../x.h5"), "not the name of a shard"),
        (set_field("shards", "file", 0, SHARD.encode()), "does not fit"),
        (set_field("shards", "rows", 0, -1), "more rows"),
        (set_field("shards", "bytes", 0, 99), "does not fit"),
        (set_field("extents", "offset", 0, 2**62), "does not fit"),
        (set_field("extents", "offset", 0, -4096), "does not fit"),
        (set_field("extents", "rows", 0, 99), "does not fit"),
        (lambda f: f.attrs.__setitem__("visual_fingerprint", "0" * 63), "is not 64 hex digits"),
        (lambda f: f.attrs.__delitem__("dataset"), "'dataset' is missing"),
    ],
)  # fmt: skip
def test_an_invalid_index_is_refused(index: Path, edit: Callable[[h5py.File], object], message: str) -> None:
    edit_sealed(index, edit)
    check_seal(index)
    with pytest.raises(CacheError, match=message):
        read_index(index)


def test_no_shard_is_opened_to_learn_the_shape_of_a_virtual_dataset(index: Path) -> None:
    def endless(file: h5py.File) -> None:
        """As long as its source, which HDF5 opens when it is asked."""
        del file["visual"]
        layout = h5py.VirtualLayout(BIG, "<f2", maxshape=(None, TOKENS, DIM))
        source = h5py.VirtualSource(f"mars/{SHARD}", "visual", BIG, "<f2", (None, TOKENS, DIM))
        layout[0 : h5py.h5s.UNLIMITED] = source[0 : h5py.h5s.UNLIMITED]
        file.create_virtual_dataset("visual", layout)

    edit_sealed(index, endless)
    fmt.shard_folder(index).mkdir()
    os.mkfifo(fmt.shard_folder(index) / SHARD)  # opening it would wait for ever
    code = "import sys, vpar_cache.cache.index as i; print(i.read_index(sys.argv[1]).shapes['visual'])"
    assert run_alone(code, index) == str(BIG)
