"""A cache is read back exactly, and refused, before any feature is read, when it is damaged or hostile."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
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
    edit_shard,
    link,
    put,
    run_alone,
    write_small_cache,
)
from vpar_cache.cache import features as features_module
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features, read_index
from vpar_cache.errors import CacheError, UserError

N = sum(sum(rows) for rows in SHARD_ROWS)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> SmallCache:
    """Read only."""
    return write_small_cache(tmp_path_factory.mktemp("small") / "mars.h5")


@pytest.fixture
def cache(kept: SmallCache, tmp_path: Path) -> SmallCache:
    """A copy to change."""
    shutil.copytree(kept.index.parent, tmp_path / "copy")
    return SmallCache(tmp_path / "copy" / kept.index.name, kept.arrays, kept.contents)


def assert_refused(cache: SmallCache, message: str) -> None:
    """Refused with this message, and no row was mapped."""

    def never(*args: object) -> None:
        pytest.fail("features were read before the cache was refused")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features_module, "RowArray", never)
        with pytest.raises(CacheError, match=message):
            open_features(cache.index)


# --- what comes back ---


def test_every_field_comes_back(kept: SmallCache) -> None:
    features, contents = open_features(kept.index), kept.contents
    assert features.path == kept.index
    assert features.dataset == "klein"
    assert features.schema == SCHEMA
    assert features.weights == "random:0"
    assert features.random_weights
    assert features.seal == fmt.check_seal(kept.index)
    assert features.visual_fingerprint == contents.visual_fingerprint
    assert features.text_fingerprint == contents.text_fingerprint
    assert features.visual_config == VISUAL_CONFIG
    assert features.text_config == contents.text_config
    assert features.environments == [ENVIRONMENT]
    assert features.tracklet_ids == tuple(contents.tracklet_ids)
    assert features.splits.tolist() == contents.splits
    assert features.person_ids.tolist() == contents.person_ids
    assert features.camera_ids.tolist() == contents.camera_ids
    assert features.num_frames.tolist() == contents.num_frames
    np.testing.assert_array_equal(features.labels, contents.labels)
    np.testing.assert_array_equal(features.quality, contents.quality)
    np.testing.assert_array_equal(features.text, contents.text_embeddings)
    np.testing.assert_array_equal(features.text_negative, contents.negative_embeddings)
    assert features.prompts == ("ein Hut", "前", "side", "back")
    assert features.negative_prompts == ("kein Hut", "", "", "")
    assert (features.grid, features.prefix_tokens) == ((2, 2), 1)
    assert [shard.rows for shard in features.shards] == [sum(rows) for rows in SHARD_ROWS]


def test_rows_are_those_that_h5py_reads(kept: SmallCache) -> None:
    features = open_features(kept.index)
    random = np.random.default_rng(0)
    with h5py.File(kept.index) as file:
        assert set(features.arrays) == {"visual", "frame_embeddings", "augmented", "frame_tokens"}
        for name, array in features.arrays.items():
            whole = file[name][()]
            assert array.shape == whole.shape
            for _ in range(5):
                rows = random.integers(0, len(array), 17)
                np.testing.assert_array_equal(array.gather(rows), whole[rows])
                batches = [batch.copy() for batch in array.batches(rows, 4)]
                np.testing.assert_array_equal(np.concatenate(batches), whole[rows])


def test_splits_give_their_rows_in_order(kept: SmallCache) -> None:
    features = open_features(kept.index)
    assert features.rows_of("train").tolist() == [0, 1, 2, 3, 4]
    assert features.rows_of("test").tolist() == [5, 6, 7, 8, 9]


def test_views_follow_the_plain_rows(kept: SmallCache) -> None:
    features = open_features(kept.index)
    views = kept.arrays["augmented"]  # (N_train, K, tokens, D)
    k = features.num_views
    assert k == views.shape[1]
    together = features.with_views()
    assert together.shape == (N + views.shape[0] * k, TOKENS, DIM)
    rows = together.gather(np.arange(len(together)))
    np.testing.assert_array_equal(rows[:N], kept.arrays["visual"])
    for train_row in range(views.shape[0]):
        for view in range(k):
            np.testing.assert_array_equal(rows[N + train_row * k + view], views[train_row, view])


def test_a_cache_without_views_has_its_plain_rows_alone(tmp_path: Path) -> None:
    cache = write_small_cache(tmp_path / "a.h5", views=False, frames=False)
    features = open_features(cache.index)
    assert features.num_views == 0
    assert set(features.arrays) == {"visual", "frame_embeddings"}
    assert features.with_views() is features.visual


def test_an_extracted_cache_is_read_as_h5py_reads_it(tiny_cache: Path) -> None:
    features = open_features(tiny_cache)
    with h5py.File(tiny_cache) as file:
        np.testing.assert_array_equal(features.visual.gather(np.arange(18)), file["visual"][()])
        assert not np.isnan(file["visual"][()]).any()


# --- damage ---


def test_a_damaged_shard_is_found_on_first_use_and_named(cache: SmallCache) -> None:
    data = bytearray(cache.shard(1).read_bytes())
    data[4096 + 3] ^= 4
    cache.shard(1).write_bytes(data)
    assert_refused(cache, r"shard-00001\.h5 is damaged: /visual of 0001C1T0000; run `vpar extract` again")


def test_checked_shards_are_remembered_and_changed_ones_checked_again(
    cache: SmallCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    open_features(cache.index, read.append)
    assert sum(read) == sum(cache.shard(n).stat().st_size - 512 for n in range(4))
    read.clear()
    open_features(cache.index, read.append)
    assert read == []
    os.utime(cache.shard(3))
    open_features(cache.index, read.append)
    assert sum(read) == cache.shard(3).stat().st_size - 512


def test_damage_that_keeps_size_and_modification_time_is_found(cache: SmallCache) -> None:
    open_features(cache.index)
    path = cache.shard(0)
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert_refused(cache, r"shard-00000\.h5 is damaged")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"shard-00000.h5": 3}', b"\xff", b"[" * 99_999])
def test_a_damaged_memory_only_means_that_all_is_checked(cache: SmallCache, content: bytes) -> None:
    (fmt.shard_folder(cache.index) / ".verified").write_bytes(content)
    read: list[int] = []
    open_features(cache.index, read.append)
    assert sum(read) > 0


def test_a_memory_without_the_seal_does_not_vouch_for_another_shard(cache: SmallCache) -> None:
    open_features(cache.index)
    memory = fmt.shard_folder(cache.index) / ".verified"
    known = json.loads(memory.read_text())
    assert all(entry[-1] == fmt.read_seal(cache.shard(n)) for n, entry in enumerate(known.values()))


def test_a_cache_in_a_folder_that_cannot_be_written_is_read(cache: SmallCache) -> None:
    memory = fmt.shard_folder(cache.index) / ".verified"
    memory.unlink(missing_ok=True)
    memory.mkdir()  # nothing can be put there, as in a read-only folder
    for _ in range(2):
        assert open_features(cache.index).visual.shape == (N, TOKENS, DIM)


def test_a_missing_shard_is_named_with_its_tracklets(cache: SmallCache) -> None:
    cache.shard(1).unlink()
    assert_refused(cache, r"shard-00001\.h5: No such file.*4 tracklets from 0001C1T0000 to 0001C1T0003")


def test_swapped_shards_are_found(tmp_path: Path) -> None:
    cache = write_small_cache(tmp_path / "a.h5", rows=((2, 0), (2, 0), (0, 2)))
    one, other = cache.shard(0), cache.shard(1)
    assert one.stat().st_size == other.stat().st_size
    one.rename(tmp_path / "x")
    other.rename(one)
    (tmp_path / "x").rename(other)
    assert_refused(cache, r"shard-00000\.h5 is whole, but not the shard that its index lists")


def test_a_shard_of_another_cache_with_another_fingerprint_is_refused(cache: SmallCache) -> None:
    edit_shard(cache, 1, lambda f: f.attrs.__setitem__("visual_fingerprint", "ab" * 32))
    assert_refused(cache, r"shard-00001\.h5 has another fingerprint than its index")


def test_a_shard_that_is_a_link_is_refused(cache: SmallCache, tmp_path: Path) -> None:
    cache.shard(0).rename(tmp_path / "elsewhere.h5")
    cache.shard(0).symlink_to(tmp_path / "elsewhere.h5")
    assert_refused(cache, "is no plain file, as a shard must be")


# --- what is no cache ---


@pytest.mark.parametrize("content", [b"", b"hello", bytes(4096), b"\x89HDF\r\n\x1a\n" * 200, b"\xff" * 513])
def test_a_file_that_is_no_cache_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(CacheError, match=r"a\.h5 has no vpar seal in its first 512 bytes"):
        open_features(tmp_path / "a.h5")


def test_random_bytes_with_a_good_seal_are_still_no_cache(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(bytes(512) + np.random.default_rng(0).bytes(3000))
    fmt.write_seal(tmp_path / "a.h5")
    with pytest.raises(CacheError, match=r"a\.h5 is no readable feature cache"):
        open_features(tmp_path / "a.h5")


def test_a_folder_a_pipe_or_nothing_is_no_index(tmp_path: Path, cache: SmallCache) -> None:
    with pytest.raises(UserError, match=r"is a folder; give the index beside it, .*mars\.h5"):
        open_features(fmt.shard_folder(cache.index))
    with pytest.raises(UserError, match="does not exist; make it with `vpar extract"):
        open_features(tmp_path / "absent.h5")
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(UserError, match="is no plain file"):
        open_features(tmp_path / "pipe.h5")


def test_a_shard_is_no_index(cache: SmallCache) -> None:
    with pytest.raises(CacheError, match="has no 'split'"):
        open_features(cache.shard(0))


def test_a_renamed_index_is_refused_with_the_reason(cache: SmallCache) -> None:
    cache.index.rename(cache.index.with_name("duke.h5"))
    renamed = SmallCache(cache.index.with_name("duke.h5"), cache.arrays, cache.contents)
    assert_refused(renamed, "takes rows from 'mars/shard-00000.h5'.*an index keeps its name")


# --- hostile indexes, sealed ---


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


def attribute(name: str, value: object) -> Callable[[h5py.File], object]:
    return lambda index: index.attrs.__setitem__(name, value)


BIG = (N, TOKENS, DIM)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (link("visual", h5py.ExternalLink("/etc/passwd", "/x")), "'visual' is a link to elsewhere"),
        (link("labels", h5py.SoftLink("/quality")), "'labels' is a link to elsewhere"),
        (link("text", h5py.ExternalLink("other.h5", "/text")), "'text' is a link to elsewhere"),
        (put("visual", data=np.zeros(BIG, "<f2")), "/visual must be a virtual dataset of float16"),
        (put("visual", data=np.zeros(BIG, "<f2"), compression="gzip"), "must be a virtual dataset"),
        (put("visual", shape=BIG, dtype="<f2", external=[("/etc/passwd", 0, 800)]), "must be a virtual dataset"),
        (virtual("visual", "/etc/passwd", "visual", BIG), "takes rows from '/etc/passwd'"),
        (virtual("visual", "mars/../other/shard-00000.h5", "visual", BIG), "may only from mars/shard-NNNNN.h5"),
        (virtual("visual", ".", "visual", BIG), "may only from"),
        (virtual("visual", "mars/shard-00000.h5", "frame_tokens", BIG), "may only from"),
        (virtual("visual", "mars/shard-00000.h5", "visual", (2**40, TOKENS, DIM)), "shards|fit|rows|must be"),
        (virtual("visual", "mars/shard-00000.h5", "visual", (N, DIM)), "no /visual of three dimensions"),
        (virtual("visual", "mars/shard-00000.h5", "visual", (N - 1, TOKENS, DIM)), "rows|must be"),
        (virtual("augmented", "mars/shard-00000.h5", "augmented", (N, 3, TOKENS, DIM)), "rows|must be"),
        (lambda f: f.__delitem__("visual"), "no /visual of three dimensions"),
        (put("tracklet_id", data=["a"] * N, dtype=h5py.string_dtype()), "is not contiguous|holds objects"),
        (put("tracklet_id", data=np.array([b"same"] * N)), "tracklet_ids must be unique"),
        (put("tracklet_id", data=np.arange(N)), "texts"),
        (put("tracklet_id", shape=(2**33,), dtype="S9"), "does not lie inside the file|texts"),
        (put("split", data=np.array([b"val"] * N)), "splits must be train or test|fit"),
        (put("labels", data=np.full((N, 4), 7, "u1")), "labels must be 0 or 1"),
        (put("labels", data=np.zeros((N, 4), "<f4")), r"labels is float32 .* but must be u1"),
        (put("labels", data=np.zeros((N, 5), "u1")), r"labels is uint8 \(10, 5\)"),
        (put("labels", data=np.zeros((N, 4), "u1"), chunks=(1, 4)), "labels is not contiguous"),
        (put("labels", data=np.zeros((N, 4), "u1"), compression="gzip"), "labels is not contiguous"),
        (put("quality", data=np.zeros((N, 0), "u1")), "quality"),
        (put("person_id", data=np.zeros(N + 1, "<i4")), "person_id"),
        (put("text/embeddings", data=np.zeros((5, TEXT_DIM), "<f4")), "embeddings"),
        (put("text/embeddings", data=np.zeros(4, "<f4")), "embeddings"),
        (put("text/embeddings", data=np.full((4, TEXT_DIM), np.nan, "<f4")), "text must be finite"),
        (put("text/negative", data=np.zeros((4, TEXT_DIM + 1), "<f4")), r"negative is float32 \(4, 8\), but must"),
        (put("text/negative", data=np.full((4, TEXT_DIM), np.inf, "<f4")), "text_negative must be finite"),
        (lambda f: f["text"].__delitem__("negative"), "no 'negative'"),
        (put("text/negative_prompt", data=np.array([b"a"] * 3)), "must be 4 texts"),
        (put("text/prompt", data=np.array([b"a"] * 3)), "must be 4 texts"),
        (put("meta/schema", data=np.bytes_(b'{"name":"x"}')), "stored schema does not fit"),
        (put("meta/schema", data=np.bytes_(b'{"name":"x","groups":[],"quality":[]}')), "does not fit"),
        (put("meta/visual_config", data=np.bytes_(b"[1]")), "visual_config is no JSON dict"),
        *(
            (put("meta/visual_config", data=np.bytes_(layout)), "and grid .* do not make 5 tokens")
            for layout in (
                b"{}",
                b'{"grid":[2,2],"prefix_tokens":0}',
                b'{"grid":[2,2]}',
                b'{"grid":4,"prefix_tokens":1}',
                b'{"grid":[2,2,1],"prefix_tokens":1}',
                b'{"grid":[-2,-2],"prefix_tokens":1}',
                b'{"grid":[2,2.0],"prefix_tokens":1}',
                b'{"grid":[true,4],"prefix_tokens":1}',
            )
        ),
        (put("meta/text_config", data=np.bytes_(b'"x"')), "text_config is no JSON dict"),
        (put("meta/environment", data=np.bytes_(b"{}")), "environment is no JSON list"),
        (put("shards", data=np.zeros(4, "<i4")), "shards is int32"),
        (put("shards", data=np.zeros((2, 2), fmt.SHARD_ROW)), "shards is"),
        (put("shards", data=np.zeros(0, fmt.SHARD_ROW)), "extents is"),
        (set_field("shards", "file", 0, b"../../x.h5"), "no shard name|does not fit"),
        (set_field("shards", "file", 0, b"shard-00003.h5"), "does not fit"),
        (set_field("shards", "rows", 0, -1), "rows"),
        (set_field("shards", "rows", 3, 2**62), "rows"),
        (set_field("shards", "blake3", 0, b"0" * 64), "not the shard that its index lists"),
        (set_field("shards", "bytes", 0, 99), "bytes long instead of 99|does not fit"),
        (set_field("extents", "offset", 0, 0), "does not fit"),
        (set_field("extents", "offset", 0, 2**62), "does not fit"),
        (set_field("extents", "offset", 0, -4096), "does not fit"),
        (set_field("extents", "offset", 0, 4098), "is not where .* lists it"),
        (set_field("extents", "rows", 0, 99), "does not fit"),
        (attribute("format", "other"), "is no vpar-features file"),
        (attribute("format_version", 2), "cache format 2, but this program reads format 1"),
        (attribute("visual_fingerprint", "0" * 63), "no fingerprint of 64 hex digits"),
        (attribute("visual_fingerprint", "0" * 64), "another fingerprint than its index"),
        (attribute("weights", 5), "must be a str"),
        (lambda f: f.attrs.__delitem__("dataset"), "has no attribute 'dataset'"),
    ],
)  # fmt: skip
def test_a_hostile_index_is_refused(cache: SmallCache, edit: Callable[[h5py.File], object], message: str) -> None:
    edit_sealed(cache.index, edit)
    fmt.check_seal(cache.index)
    assert_refused(cache, message)


def test_no_shard_is_opened_to_learn_the_shape_of_a_virtual_dataset(cache: SmallCache) -> None:
    def endless(index: h5py.File) -> None:
        """As long as its source, which HDF5 opens when it is asked."""
        del index["visual"]
        layout = h5py.VirtualLayout(BIG, "<f2", maxshape=(None, TOKENS, DIM))
        source = h5py.VirtualSource("mars/shard-00000.h5", "visual", BIG, "<f2", (None, TOKENS, DIM))
        layout[0 : h5py.h5s.UNLIMITED] = source[0 : h5py.h5s.UNLIMITED]
        index.create_virtual_dataset("visual", layout)

    edit_sealed(cache.index, endless)
    cache.shard(0).unlink()
    os.mkfifo(cache.shard(0))  # opening it would wait for ever
    code = (
        "import sys, vpar_cache.cache.features as f; print(f.read_index(f.Path(sys.argv[1])).big_shapes['visual'])"
    )
    assert run_alone(code, cache.index) == str(BIG)
    assert_refused(cache, "is no plain file, as a shard must be")


def test_another_version_in_the_seal_is_refused(cache: SmallCache) -> None:
    data = cache.index.read_bytes()
    cache.index.write_bytes(data.replace(b"vpar-seal 1 ", b"vpar-seal 9 ", 1))
    assert_refused(cache, "is of cache format 9, but this program reads format 1")


ROWS = np.zeros((4, TOKENS, DIM))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (put("visual", data=ROWS.astype("<f4")), "visual is float32"),
        (put("visual", data=ROWS.astype("<f2"), chunks=(1, TOKENS, DIM)), "is not contiguous"),
        (put("visual", data=ROWS.astype("<f2"), compression="gzip"), "is not contiguous"),
        (put("visual", shape=ROWS.shape, dtype="<f2", external=[("/etc/passwd", 0, 320)]), "in another file"),
        (link("visual", h5py.ExternalLink("/etc/passwd", "/x")), "link to elsewhere"),
        (link("visual", h5py.SoftLink("/frame_tokens")), "link to elsewhere"),
        (put("visual", data=ROWS[:, :2].astype("<f2")), r"visual is float16 \(4, 2, 8\)|does not fit"),
        (put("visual", data=ROWS[:3].astype("<f2")), "visual has 3 rows"),
        (attribute("format_version", 2), "cache format 2"),
    ],
)
def test_a_hostile_shard_is_refused(cache: SmallCache, edit: Callable[[h5py.File], object], message: str) -> None:
    edit_shard(cache, 1, edit)
    fmt.check_seal(cache.shard(1))
    assert_refused(cache, rf"shard-00001\.h5.*({message})")


def test_an_array_that_is_elsewhere_than_listed_is_refused(cache: SmallCache) -> None:
    def compact(file: h5py.File) -> None:
        del file["visual"]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(ROWS.shape)
        h5py.h5d.create(file.id, b"visual", h5py.h5t.py_create(np.dtype("<f2")), space, dcpl=creation)

    edit_shard(cache, 1, compact)
    assert_refused(cache, "visual is not where .* lists it")


def test_reading_the_index_alone_touches_no_shard(cache: SmallCache) -> None:
    shutil.rmtree(fmt.shard_folder(cache.index))
    index = read_index(cache.index)
    assert index.big_shapes["visual"] == BIG
    assert index.fields["dataset"] == "klein"


def test_no_flipped_bit_of_an_index_goes_unseen(cache: SmallCache) -> None:
    whole = cache.index.read_bytes()
    random = np.random.default_rng(1)
    for position in random.integers(0, len(whole), 150):
        data = bytearray(whole)
        data[position] ^= 1 << random.integers(8)
        cache.index.write_bytes(data)
        with pytest.raises(CacheError):
            open_features(cache.index)
