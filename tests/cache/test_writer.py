"""What is written: plain arrays that any HDF5 reader understands, sealed, and the same bytes every time."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.small_caches import (
    DIM,
    ENVIRONMENT,
    FRAMES,
    SCHEMA,
    SHARD_ROWS,
    TEXT_DIM,
    TOKENS,
    VIEWS,
    VISUAL_CONFIG,
    SmallCache,
    run_alone,
    shard_contents,
    write_small_cache,
)
from vpar_cache.base.hashing import canonical_json
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.seal import check_seal
from vpar_cache.cache.writer import write_index, write_shard
from vpar_cache.errors import CacheError


def files_of(kept: SmallCache) -> list[Path]:
    return [kept.index, *(kept.shard(number) for number in range(len(SHARD_ROWS)))]


def test_h5py_reads_every_array_through_the_index(kept: SmallCache) -> None:
    n = sum(sum(rows) for rows in SHARD_ROWS)
    with h5py.File(kept.index) as file:
        assert file["visual"].shape == (n, TOKENS, DIM)
        assert file["frame_embeddings"].shape == (n, FRAMES, DIM)
        assert file["augmented"].shape == (5, VIEWS, TOKENS, DIM)
        assert file["frame_tokens"].shape == (n, FRAMES, TOKENS, DIM)
        for name in fmt.BIG_ARRAYS:
            assert file[name].dtype == np.dtype("<f2")
            assert file[name].is_virtual
            np.testing.assert_array_equal(file[name][()], kept.arrays[name])


def test_an_index_over_many_shards_has_no_virtual_datasets_and_is_read_as_one_with_them(
    tmp_path: Path, kept: SmallCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fmt, "MOST_VIRTUAL", len(SHARD_ROWS) - 1)
    cache = write_small_cache(tmp_path / "mars.h5")
    with h5py.File(cache.index) as file:
        assert not set(fmt.BIG_ARRAYS) & set(file)
    features, beside = open_features(cache.index), open_features(kept.index)
    assert features.shapes == beside.shapes
    for name, array in features.arrays.items():
        np.testing.assert_array_equal(array.gather(slice(None)), kept.arrays[name])


def test_the_small_fields_are_plain_datasets_of_their_types(kept: SmallCache) -> None:
    n, a, contents = 10, SCHEMA.num_outputs, kept.contents
    with h5py.File(kept.index) as file:
        for name, shape, dtype in (
            ("labels", (n, a), "u1"),
            ("quality", (n, 2), "u1"),
            ("person_id", (n,), "<i4"),
            ("camera_id", (n,), "<i4"),
            ("num_frames", (n,), "<i4"),
            ("text/embeddings", (a, TEXT_DIM), "<f4"),
            ("text/negative", (a, TEXT_DIM), "<f4"),
        ):
            assert (file[name].shape, file[name].dtype) == (shape, np.dtype(dtype)), name
        assert file["text/negative_prompt"].asstr()[()].tolist() == ["kein Hut", "", "", ""]
        assert file["tracklet_id"].asstr()[()].tolist() == contents.tracklet_ids
        digests = [digest for shard in contents.shards for digest in shard.source_digests]
        assert file["source_digest"].asstr()[()].tolist() == digests
        assert file["split"].asstr()[()].tolist() == contents.splits
        assert file["text/prompt"].asstr()[()].tolist() == ["ein Hut", "前", "side", "back"]
        assert file["text/output"].asstr()[()].tolist() == ["hat", "pose 前", "pose side", "pose back"]
        assert file["text/group"].asstr()[()].tolist() == ["hat", "pose", "pose", "pose"]
        assert file["meta/visual_config"].asstr()[()] == canonical_json(VISUAL_CONFIG)
        shapes = {name: list(array.shape) for name, array in kept.arrays.items()}
        assert json.loads(file["meta/arrays"][()]) == shapes
        assert file["meta/schema"].asstr()[()] == canonical_json(SCHEMA.to_dict())
        assert file["meta/environment"].asstr()[()] == f"[{canonical_json(ENVIRONMENT)}]"
        shards = file["shards"][()]
    for number, row in enumerate(shards):
        path = kept.shard(number)
        assert row["file"].decode() == path.name
        assert row["rows"] == sum(SHARD_ROWS[number])
        assert row["bytes"] == path.stat().st_size
        assert row["blake3"].decode() == check_seal(path)


def test_attributes_say_what_the_file_is(kept: SmallCache) -> None:
    with h5py.File(kept.index) as file:
        attributes = dict(file.attrs)
    assert attributes == {
        "format": "vpar-features",
        "format_version": 2,
        "visual_fingerprint": kept.contents.visual_fingerprint,
        "text_fingerprint": kept.contents.text_fingerprint,
        "weights": "random:0",
        "dataset": "klein",
        "people_known": 1,
        "shared_people": 0,
    }


def test_every_file_has_a_user_block_of_512_bytes_with_the_seal(kept: SmallCache) -> None:
    for path in files_of(kept):
        with h5py.File(path) as file:
            assert file.userblock_size == 512
        assert check_seal(path) in path.read_bytes()[:512].decode().rstrip("\0")


def test_arrays_in_shards_can_be_mapped(kept: SmallCache) -> None:
    with h5py.File(kept.shard(1)) as file:
        places = {}
        for name in fmt.BIG_ARRAYS:
            dataset = file[name]
            assert dataset.chunks is None
            assert dataset.compression is None
            assert dataset.dtype == np.dtype("<f2")
            places[name] = (dataset.id.get_offset(), dataset.shape)
    for name, (offset, shape) in places.items():
        mapped = np.memmap(kept.shard(1), "<f2", "r", offset, shape)
        np.testing.assert_array_equal(mapped, shard_contents(1, SHARD_ROWS[1]).arrays[name])
        assert offset % fmt.ALIGNMENT_BYTES == 0 or mapped.nbytes < fmt.ALIGNMENT_BYTES
    assert places["visual"][0] == 4096


@pytest.mark.parametrize("rows", [1, 40, 700])
def test_visual_starts_at_a_multiple_of_4096(tmp_path: Path, rows: int) -> None:
    with h5py.File(write_shard(tmp_path, shard_contents(0, (rows, rows)))) as file:
        assert file["visual"].id.get_offset() % 4096 == 0


def test_the_same_content_gives_the_same_bytes_at_another_time_and_place(
    kept: SmallCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(1.1)  # HDF5 keeps times in seconds
    monkeypatch.chdir(tmp_path)
    again = write_small_cache(Path("mars.h5"))
    for one, other in zip(files_of(kept), files_of(again), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_no_file_holds_the_path_that_it_was_written_to(kept: SmallCache) -> None:
    for path in files_of(kept):
        data = path.read_bytes()
        assert str(kept.index.parent).encode() not in data
        assert b".partial" not in data


def test_a_missing_shard_reads_as_nan_and_never_as_zeros(tmp_path: Path) -> None:
    cache = write_small_cache(tmp_path / "mars.h5")
    cache.shard(1).unlink()
    with h5py.File(cache.index) as file:
        visual = file["visual"][()]
    np.testing.assert_array_equal(visual[:3], cache.arrays["visual"][:3])
    assert np.isnan(visual[3:7]).all()
    np.testing.assert_array_equal(visual[7:], cache.arrays["visual"][7:])


def test_without_views_and_frames_there_is_no_such_array(tmp_path: Path) -> None:
    cache = write_small_cache(tmp_path / "mars.h5", views=False, frames=False)
    for path in (cache.index, cache.shard(0)):
        with h5py.File(path) as file:
            assert set(file) & set(fmt.BIG_ARRAYS) == {"visual", "frame_embeddings"}


def test_a_writer_that_fails_publishes_nothing(tmp_path: Path) -> None:
    good = shard_contents(0, (2, 0))
    path = write_shard(tmp_path, good)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_shard(tmp_path, dataclasses.replace(good, visual_config={"bad": object()}))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"then run the same command again"):
        write_shard(tmp_path / "file", shard_contents(0, (1, 1)))


def test_big_endian_rows_are_stored_little_endian(tmp_path: Path) -> None:
    good = shard_contents(0, (2, 0))
    swapped = {name: array.astype(">f2") for name, array in good.arrays.items()}
    one = write_shard(tmp_path / "a", good)
    other = write_shard(tmp_path / "b", dataclasses.replace(good, arrays=swapped))
    assert one.read_bytes() == other.read_bytes()


def test_an_index_is_written_again_in_one_step(tmp_path: Path) -> None:
    cache = write_small_cache(tmp_path / "mars.h5")
    with h5py.File(cache.index) as reader:  # somebody still reads the old one
        write_index(cache.index, dataclasses.replace(cache.contents, labels=1 - cache.contents.labels))
        np.testing.assert_array_equal(reader["labels"][()], cache.contents.labels)
    with h5py.File(cache.index) as reader:
        np.testing.assert_array_equal(reader["labels"][()], 1 - cache.contents.labels)


INTERRUPTED = """
import random, signal, sys, time
from pathlib import Path
from tests.support.small_caches import write_small_cache
from vpar_cache.cache.seal import check_seal
from vpar_cache.cache.writer import write_index
random.seed(0)
signal.signal(signal.SIGALRM, signal.default_int_handler)
cache, interrupts = write_small_cache(Path(sys.argv[1])), 0
begun = time.perf_counter()
write_index(cache.index, cache.contents)
took = time.perf_counter() - begun
for _ in range(100):
    try:
        signal.setitimer(signal.ITIMER_REAL, max(1e-6, random.random() * took))
        write_index(cache.index, cache.contents)
        signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(0)  # a signal that has come just before is handled here
    except KeyboardInterrupt:
        interrupts += 1
    check_seal(cache.index)
print(interrupts)
"""


def test_an_interrupt_at_any_moment_ends_the_writing_of_an_index_and_nothing_else(tmp_path: Path) -> None:
    assert int(run_alone(INTERRUPTED, tmp_path / "mars.h5")) > 30


FULL = """
import sys
from pathlib import Path
from tests.support.limits import file_size_limit
from tests.support.small_caches import write_small_cache
from vpar_cache.cache.writer import write_index
from vpar_cache.errors import CacheError
cache = write_small_cache(Path(sys.argv[1]))
before = cache.index.read_bytes()
for num_bytes in range(0, len(before) - 100, 600):
    try:
        with file_size_limit(num_bytes):
            write_index(cache.index, cache.contents)
    except CacheError as error:
        files = sorted(path.name for path in cache.index.parent.iterdir())
        print("File too large" in str(error), cache.index.read_bytes() == before, *files)
"""


def test_a_disk_that_gets_full_anywhere_in_an_index_leaves_the_old_one_and_the_process(tmp_path: Path) -> None:
    """In a process of its own: where HDF5 meets a full disk, it may crash at the exit."""
    said = run_alone(FULL, tmp_path / "mars.h5").splitlines()
    assert len(said) > 20
    assert set(said) == {"True True mars mars.h5"}
