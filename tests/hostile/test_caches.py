"""Caches from a stranger, sealed and all: refused in one line, and nothing outside them is opened."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.support.hostile_files import NASTY, assert_refused, bounded, call_vpar
from tests.support.small_caches import SmallCache, edit_sealed, edit_shard, link, put, write_small_cache
from vpar_cache.cache import format as fmt
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

Edit = Callable[[h5py.File], object]

TRAIN = ("--dim", "8", "--heads", "1", "--epochs", "1", "--device", "cpu", "--protocol", "paper")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> SmallCache:
    return write_small_cache(tmp_path_factory.mktemp("good") / "mars.h5", views=False, frames=False)


@pytest.fixture
def stranger(good: SmallCache, tmp_path: Path) -> SmallCache:
    """A good cache in a folder of its own, to be made hostile."""
    shutil.copytree(good.index.parent, tmp_path / "stranger")
    return SmallCache(tmp_path / "stranger" / good.index.name, good.arrays, good.contents)


@pytest.fixture
def outside(good: SmallCache, tmp_path: Path) -> Path:
    """A folder that no command is given, with everything that a hostile file could want to reach."""
    folder = tmp_path / "outside"
    folder.mkdir()
    with h5py.File(good.index) as index, h5py.File(folder / "lure.h5", "w") as lure:
        for name in ("labels", "tracklet_id", "num_frames"):
            lure[name] = index[name][()]
        lure["visual"] = good.arrays["visual"]
        lure.create_dataset("growing", data=good.arrays["visual"], maxshape=(None, 5, 8), chunks=(1, 5, 8))
    (folder / "raw.bin").write_bytes(bytes(10_000))
    return folder


def assert_every_command_refuses(cache: SmallCache, outside: Path) -> None:
    """info and verify read the index, train the shards as well; none may leave its folder."""
    folder = cache.index.parent
    for arguments in (["info"], ["verify"], ["train", *TRAIN, "--features"]):
        with bounded(folder, outside=outside):
            done = call_vpar(*arguments, str(cache.index), folder=folder)
        assert_refused(done, cache.index.name)


def virtual(file_name: str, shape: tuple[int, ...] = (10, 5, 8), name: str = "visual") -> Edit:
    """/visual takes its rows from another file."""

    def edit(file: h5py.File) -> None:
        del file["visual"]
        layout = h5py.VirtualLayout(shape, "<f2")
        layout[:] = h5py.VirtualSource(file_name, name, shape)
        file.create_virtual_dataset("visual", layout)

    return edit


def growing(file_name: str, dataset: str) -> Edit:
    """A virtual dataset whose shape is that of its source: to tell it, HDF5 opens the source."""

    def edit(file: h5py.File) -> None:
        del file[dataset]
        layout = h5py.VirtualLayout((10, 5, 8), "<f2", maxshape=(None, 5, 8))
        source = h5py.VirtualSource(file_name, "growing", (10, 5, 8), maxshape=(None, 5, 8))
        layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
        file.create_virtual_dataset(dataset, layout)

    return edit


def pattern(file: h5py.File) -> None:
    """/visual takes its rows from as many files as there are of a name with a running number."""
    del file["visual"]
    whole, rows = (h5py.h5s.UNLIMITED, 5, 8), (3, 5, 8)
    space = h5py.h5s.create_simple(rows, whole)
    space.select_hyperslab((0, 0, 0), (h5py.h5s.UNLIMITED, 1, 1), rows, rows)
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_virtual(space, b"../outside/%b.h5", b"visual", h5py.h5s.create_simple(rows))
    h5py.h5d.create(file.id, b"visual", h5py.h5t.IEEE_F16LE, h5py.h5s.create_simple(rows, whole), dcpl=creation)


def unwritten(name: str, shape: tuple[int, ...], dtype: str = "u1") -> Edit:
    """A dataset of a shape beyond all bounds, for which HDF5 has set no byte aside."""

    def edit(file: h5py.File) -> None:
        del file[name]
        chunks = tuple(min(length, 64) for length in shape)
        file.create_dataset(name, shape, dtype, chunks=chunks)

    return edit


def late(name: str, shape: tuple[int, ...]) -> Edit:
    """The same without chunks."""

    def edit(file: h5py.File) -> None:
        del file[name]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        space = h5py.h5s.create_simple(shape)
        h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_U8LE, space, dcpl=creation)

    return edit


def unknown_filter(name: str) -> Edit:
    def edit(file: h5py.File) -> None:
        shape = file[name].shape
        del file[name]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk(shape)
        creation.set_filter(32_123, h5py.h5z.FLAG_OPTIONAL)
        h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_U8LE, h5py.h5s.create_simple(shape), dcpl=creation)

    return edit


def attribute(name: str, value: object) -> Edit:
    def edit(file: h5py.File) -> None:
        del file.attrs[name]
        file.attrs[name] = value

    return edit


def text(name: str, value: object) -> Edit:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return put(name, data=np.bytes_(content))


def many_groups(file: h5py.File) -> None:
    """A schema that a quadratic check would hang on."""
    output = {"name": "o", "phrase": "p"}
    groups = [{"name": str(i), "columns": [str(i)], "negative": "n", "outputs": [output]} for i in range(100_000)]
    text("meta/schema", {"name": "x", "quality": [], "groups": groups})(file)


def cycle(file: h5py.File) -> None:
    del file["text"]
    file["text"] = file["/"]  # a hard link upward


INDEX_EDITS: dict[str, Callable[[Path], Edit]] = {
    "external link": lambda out: link("labels", h5py.ExternalLink(str(out / "lure.h5"), "/labels")),
    "external link upward": lambda out: link("visual", h5py.ExternalLink("../outside/lure.h5", "/visual")),
    "soft link": lambda out: link("labels", h5py.SoftLink("/quality")),
    "soft link upward": lambda out: link("labels", h5py.SoftLink("/../../../outside/lure.h5")),
    "soft link to itself": lambda out: link("labels", h5py.SoftLink("/labels")),
    "soft link to the root": lambda out: link("meta", h5py.SoftLink("/")),
    "hard link upward": lambda out: cycle,
    "external storage": lambda out: put(
        "labels", shape=(10, 4), dtype="u1", external=[(str(out / "raw.bin"), 0, 40)]
    ),
    "virtual source by its full path": lambda out: virtual(str(out / "lure.h5")),
    "virtual source upward": lambda out: virtual("../outside/lure.h5"),
    "virtual source of a shard's name elsewhere": lambda out: virtual("../outside/shard-00000.h5"),
    "virtual source in a folder below": lambda out: virtual("mars/mars/shard-00000.h5"),
    "virtual source beside the index": lambda out: virtual("shard-00000.h5"),
    "virtual source in the index itself": lambda out: virtual(".", name="quality"),
    "virtual sources by pattern": lambda out: pattern,
    "virtual source of another array": lambda out: virtual("mars/shard-00000.h5", name="labels"),
    "virtual labels": lambda out: growing(str(out / "lure.h5"), "labels"),
    "growing virtual source": lambda out: growing(str(out / "lure.h5"), "visual"),
    "a shape beyond all bounds": lambda out: unwritten("labels", (2**40, 4)),
    "a late shape beyond all bounds": lambda out: late("labels", (2**50, 4)),
    "tracklets beyond all bounds": lambda out: unwritten("tracklet_id", (2**45,), "S11"),
    "a virtual shape beyond all bounds": lambda out: virtual("mars/shard-00000.h5", (2**33, 5, 8)),
    "32 dimensions": lambda out: put("labels", data=np.zeros((1,) * 32, np.uint8)),
    "no dimension": lambda out: put("labels", data=h5py.Empty("u1")),
    "no tracklet": lambda out: put("tracklet_id", data=np.array([], "S11")),
    "unknown filter": lambda out: unknown_filter("labels"),
    "compressed zeros": lambda out: put(
        "labels", shape=(10, 4, 2**28), dtype="u1", compression="gzip", chunks=(1, 1, 2**20)
    ),
    "objects": lambda out: put("tracklet_id", data=["a"] * 10, dtype=h5py.string_dtype()),
    "references": lambda out: put("labels", shape=(10, 4), dtype=h5py.ref_dtype),
    "sequences": lambda out: put("labels", shape=(10,), dtype=h5py.vlen_dtype(np.uint8)),
    "an enumeration": lambda out: put("labels", shape=(10, 4), dtype=h5py.enum_dtype({"a": 300}, "i4")),
    "compound labels": lambda out: put("labels", shape=(10,), dtype=[("a", "u1"), ("b", "f4", (3,))]),
    "other columns of shards": lambda out: put("shards", shape=(4,), dtype=[("file", "f8"), ("rows", "S9")]),
    "other columns of extents": lambda out: put("extents", shape=(8,), dtype="i8"),
    "no text": lambda out: text("meta/visual_config", b"\xff\xfe"),
    "no JSON": lambda out: text("meta/schema", b"["),
    "deep JSON": lambda out: text("meta/environment", b"[" * 200_000),
    "an endless number": lambda out: text("meta/environment", b"[" + b"9" * 100_000 + b"]"),
    "JSON of another kind": lambda out: text("meta/visual_config", [1]),
    "a schema of nonsense": lambda out: text("meta/schema", {"name": 1, "groups": [1], "quality": 0}),
    "a schema of others": lambda out: text("meta/schema", {"name": "x", "groups": [], "quality": []}),
    "a list for an attribute": lambda out: attribute("weights", ["openai"] * 3),
    "an array type for an attribute": lambda out: attribute("weights", np.zeros(2000)),
    "a future version": lambda out: attribute("format_version", 2**60),
    "another format": lambda out: attribute("format", "tiff"),
    "no fingerprint": lambda out: attribute("visual_fingerprint", "../../x"),
}  # fmt: skip


@pytest.mark.parametrize("edit", INDEX_EDITS.values(), ids=INDEX_EDITS.keys())
def test_a_hostile_index_is_refused_by_every_command(
    stranger: SmallCache, outside: Path, edit: Callable[[Path], Edit]
) -> None:
    edit_sealed(stranger.index, edit(outside))
    assert_every_command_refuses(stranger, outside)


def test_a_schema_of_many_groups_is_refused_in_time(stranger: SmallCache) -> None:
    edit_sealed(stranger.index, many_groups)
    with bounded(stranger.index.parent):
        assert_refused(call_vpar("info", str(stranger.index), folder=stranger.index.parent), "mars.h5")


SHARD_EDITS: dict[str, Callable[[Path], Edit]] = {
    "external link": lambda out: link("visual", h5py.ExternalLink(str(out / "lure.h5"), "/visual")),
    "soft link upward": lambda out: link("visual", h5py.SoftLink("/../../outside/lure.h5")),
    "external storage": lambda out: put(
        "visual", shape=(3, 5, 8), dtype="<f2", external=[(str(out / "raw.bin"), 0, 240)]
    ),
    "virtual": lambda out: virtual(str(out / "lure.h5"), (3, 5, 8)),
    "growing": lambda out: growing(str(out / "lure.h5"), "visual"),
    "compressed": lambda out: put("visual", data=np.zeros((3, 5, 8), "<f2"), compression="gzip"),
    "objects": lambda out: put("visual", shape=(3, 5, 8), dtype=h5py.string_dtype()),
    "a shape beyond all bounds": lambda out: unwritten("visual", (2**40, 5, 8), "<f2"),
}


@pytest.mark.parametrize("edit", SHARD_EDITS.values(), ids=SHARD_EDITS.keys())
def test_a_hostile_shard_is_refused_by_training(
    stranger: SmallCache, outside: Path, edit: Callable[[Path], Edit]
) -> None:
    edit_shard(stranger, 0, edit(outside))
    folder = stranger.index.parent
    with bounded(folder, outside=outside):
        done = call_vpar("train", *TRAIN, "--features", str(stranger.index), folder=folder)
    assert_refused(done, "mars")


@pytest.mark.parametrize("edit", SHARD_EDITS.values(), ids=SHARD_EDITS.keys())
def test_an_extraction_into_a_hostile_cache_replaces_it(
    edit: Callable[[Path], Edit],
    extract_config: Callable[..., ExtractConfig],
    tiny_cache: Path,
    tmp_path: Path,
    outside: Path,
) -> None:
    shutil.copytree(tiny_cache.parent, tmp_path / "copy")
    config = extract_config(tmp_path / "copy" / tiny_cache.name)
    shard = fmt.shard_folder(config.out) / fmt.shard_name(0)
    wanted = shard.read_bytes()
    edit_sealed(shard, edit(outside))
    with bounded(config.out.parent, config.root, outside=outside):
        result = extract(config)
    assert result.shards_computed == 1
    assert shard.read_bytes() == wanted


def test_an_extraction_over_a_hostile_index_replaces_it(
    extract_config: Callable[..., ExtractConfig], tiny_cache: Path, tmp_path: Path, outside: Path
) -> None:
    shutil.copytree(tiny_cache.parent, tmp_path / "copy")
    config = extract_config(tmp_path / "copy" / tiny_cache.name)
    edit_sealed(config.out, link("labels", h5py.ExternalLink(str(outside / "lure.h5"), "/labels")))
    with bounded(config.out.parent, config.root, outside=outside):
        assert extract(config).shards_computed == 0
    assert config.out.read_bytes() == tiny_cache.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89HDF\r\n\x1a\n" + bytes(5000),
        b"PK\x03\x04" + bytes(5000),
        b"vpar-seal 1 blake3:" + b"0" * 64 + b"\n" + bytes(10_000),
        b"vpar-seal 9 blake3:" + b"0" * 64 + b"\n" + bytes(10_000),
        b"tracklet_id,split\n" * 1000,
    ],
)
def test_what_has_another_magic_is_refused(stranger: SmallCache, outside: Path, content: bytes) -> None:
    stranger.index.write_bytes(content)
    assert_every_command_refuses(stranger, outside)


@pytest.mark.parametrize(
    "body", [b"", b"no HDF5 at all", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + b"\xff" * 9000]
)
def test_a_seal_over_something_else_is_refused(stranger: SmallCache, outside: Path, body: bytes) -> None:
    stranger.index.write_bytes(bytes(fmt.USER_BLOCK_BYTES) + body)
    fmt.write_seal(stranger.index)
    assert_every_command_refuses(stranger, outside)


def test_a_shard_that_leads_out_of_the_cache_is_not_followed(stranger: SmallCache, outside: Path) -> None:
    shutil.copy(stranger.shard(0), outside / "shard-00000.h5")
    stranger.shard(0).unlink()
    stranger.shard(0).symlink_to(outside / "shard-00000.h5")
    folder = stranger.index.parent
    for command in (["verify"], ["train", *TRAIN, "--features"]):
        with bounded(folder, outside=outside):
            assert_refused(call_vpar(*command, str(stranger.index), folder=folder), "shard-00000.h5")


@pytest.mark.parametrize("target", ["/dev/zero", "../../outside/raw.bin"])
def test_what_lies_beside_the_shards_is_not_followed(stranger: SmallCache, outside: Path, target: str) -> None:
    for name in (".verified", "timing.json", ".seen"):
        (fmt.shard_folder(stranger.index) / name).symlink_to(target)
    folder = stranger.index.parent
    with bounded(folder, outside=outside):
        assert call_vpar("train", *TRAIN, "--features", str(stranger.index), folder=folder).returncode == 0


@pytest.mark.parametrize("content", [b"[]", b'{"shard-00000.h5": 1}', b"\xff", b"[" * 100_000, b"9" * 100_000])
def test_notes_of_nonsense_beside_the_shards_are_as_none(stranger: SmallCache, content: bytes) -> None:
    for name in (".verified", "timing.json", ".seen"):
        (fmt.shard_folder(stranger.index) / name).write_bytes(content)
    folder = stranger.index.parent
    with bounded(folder):
        assert call_vpar("train", *TRAIN, "--features", str(stranger.index), folder=folder).returncode == 0


def test_an_index_that_is_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "zero.h5").symlink_to("/dev/zero")
    for name in ("pipe.h5", "zero.h5"):
        with bounded(tmp_path):
            assert_refused(call_vpar("verify", name, folder=tmp_path), name)


def test_names_from_a_cache_print_as_text(stranger: SmallCache) -> None:
    edit_sealed(stranger.index, attribute("dataset", NASTY))
    edit_sealed(stranger.index, attribute("weights", f"random:{NASTY}"))
    folder = stranger.index.parent
    for command in (["info"], ["train", *TRAIN, "--name", "x", "--features"]):
        done = call_vpar(*command, str(stranger.index), folder=folder)
        assert done.returncode == 0
        assert not set("\x1b\x07\u202e") & set(done.stdout + done.stderr)
