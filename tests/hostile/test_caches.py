"""Untrusted caches with valid seals: refused in one line, and nothing outside them is opened."""

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
from vpar_cache.cache.seal import write_seal
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

Edit = Callable[[h5py.File], object]

TRAIN = ("--dim", "8", "--heads", "1", "--epochs", "1", "--device", "cpu", "--recipe", "paper")


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


def attribute(name: str, value: object) -> Edit:
    def edit(file: h5py.File) -> None:
        del file.attrs[name]
        file.attrs[name] = value

    return edit


def many_groups(file: h5py.File) -> None:
    """A schema that a quadratic check would hang on."""
    output = {"name": "o", "phrase": "p"}
    groups = [{"name": str(i), "columns": [str(i)], "negative": "n", "outputs": [output]} for i in range(100_000)]
    schema = {"name": "x", "quality": [], "groups": groups}
    put("meta/schema", data=np.bytes_(json.dumps(schema).encode()))(file)


INDEX_EDITS: dict[str, Callable[[Path], Edit]] = {
    "external link": lambda out: link("labels", h5py.ExternalLink(str(out / "lure.h5"), "/labels")),
    "external storage": lambda out: put(
        "labels", shape=(10, 4), dtype="u1", external=[(str(out / "raw.bin"), 0, 40)]
    ),
    "virtual source by its full path": lambda out: virtual(str(out / "lure.h5")),
    "virtual sources by pattern": lambda out: pattern,
    "growing virtual source": lambda out: growing(str(out / "lure.h5"), "visual"),
    "a shape beyond all bounds": lambda out: unwritten("labels", (2**40, 4)),
    "labels where unknown": lambda out: put("known", data=np.zeros((10, 4), "u1")),
    "known beyond all bounds": lambda out: unwritten("known", (2**40, 4)),
    "compressed zeros": lambda out: put(
        "labels", shape=(10, 4, 2**28), dtype="u1", compression="gzip", chunks=(1, 1, 2**20)
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", INDEX_EDITS.values(), ids=INDEX_EDITS.keys())
def test_a_hostile_index_is_refused_by_every_command(
    stranger: SmallCache, outside: Path, edit: Callable[[Path], Edit]
) -> None:
    edit_sealed(stranger.index, edit(outside))
    assert_every_command_refuses(stranger, outside)


@pytest.mark.slow
def test_a_schema_of_many_groups_is_refused_in_time(stranger: SmallCache) -> None:
    edit_sealed(stranger.index, many_groups)
    with bounded(stranger.index.parent):
        assert_refused(call_vpar("info", str(stranger.index), folder=stranger.index.parent), "mars.h5")


SHARD_EDITS: dict[str, Callable[[Path], Edit]] = {
    "external link": lambda out: link("visual", h5py.ExternalLink(str(out / "lure.h5"), "/visual")),
    "external storage": lambda out: put(
        "visual", shape=(3, 5, 8), dtype="<f2", external=[(str(out / "raw.bin"), 0, 240)]
    ),
    "growing": lambda out: growing(str(out / "lure.h5"), "visual"),
    "compressed": lambda out: put("visual", data=np.zeros((3, 5, 8), "<f2"), compression="gzip"),
    "a shape beyond all bounds": lambda out: unwritten("visual", (2**40, 5, 8), "<f2"),
}


@pytest.mark.parametrize("edit", SHARD_EDITS.values(), ids=SHARD_EDITS.keys())
def test_training_on_a_hostile_shard_opens_nothing_else(
    stranger: SmallCache, outside: Path, edit: Callable[[Path], Edit]
) -> None:
    edit_shard(stranger, 0, edit(outside))
    folder = stranger.index.parent
    with bounded(folder, outside=outside):
        call_vpar("train", *TRAIN, "--features", str(stranger.index), folder=folder)


@pytest.mark.parametrize("kind", ["external link", "growing"])
def test_an_extraction_into_a_hostile_cache_replaces_it(
    kind: str, extract_config: Callable[..., ExtractConfig], extracted: Path, outside: Path
) -> None:
    config = extract_config(extracted)
    shard = sorted(fmt.shard_folder(config.out).glob("shard-*.h5"))[0]
    wanted = shard.read_bytes()
    edit_sealed(shard, SHARD_EDITS[kind](outside))
    with bounded(config.out.parent, config.root, outside=outside):
        result = extract(config)
    assert result.shards_written == 1
    assert shard.read_bytes() == wanted


def test_an_extraction_over_a_hostile_index_replaces_it(
    extract_config: Callable[..., ExtractConfig], tiny_cache: Path, extracted: Path, outside: Path
) -> None:
    config = extract_config(extracted)
    edit_sealed(config.out, link("labels", h5py.ExternalLink(str(outside / "lure.h5"), "/labels")))
    with bounded(config.out.parent, config.root, outside=outside):
        assert extract(config).encoded == 0
    assert config.out.read_bytes() == tiny_cache.read_bytes()


@pytest.mark.parametrize("body", [b"not HDF5", b"\x89HDF\r\n\x1a\n" + b"\xff" * 9000])
def test_a_seal_over_something_else_is_refused(stranger: SmallCache, outside: Path, body: bytes) -> None:
    stranger.index.write_bytes(bytes(fmt.USER_BLOCK_BYTES) + body)
    write_seal(stranger.index)
    assert_every_command_refuses(stranger, outside)


def test_a_shard_that_leads_out_of_the_cache_is_not_followed(stranger: SmallCache, outside: Path) -> None:
    name = stranger.shard(0).name
    shutil.copy(stranger.shard(0), outside / name)
    stranger.shard(0).unlink()
    stranger.shard(0).symlink_to(outside / name)
    folder = stranger.index.parent
    for command in (["verify"], ["train", *TRAIN, "--features"]):
        with bounded(folder, outside=outside):
            assert_refused(call_vpar(*command, str(stranger.index), folder=folder), name)


@pytest.mark.parametrize("target", ["/dev/zero", "../../outside/raw.bin"])
def test_hints_that_link_elsewhere_are_not_followed(stranger: SmallCache, outside: Path, target: str) -> None:
    (fmt.shard_folder(stranger.index) / "hints.json").symlink_to(target)
    folder = stranger.index.parent
    with bounded(folder, outside=outside):
        assert call_vpar("train", *TRAIN, "--features", str(stranger.index), folder=folder).returncode == 0


def test_an_index_that_is_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "zero.h5").symlink_to("/dev/zero")
    for name, said in (("pipe.h5", "pipe.h5"), ("zero.h5", "/dev/zero")):
        with bounded(tmp_path):
            assert_refused(call_vpar("verify", name, folder=tmp_path), said)


def test_names_from_a_cache_print_as_text(stranger: SmallCache) -> None:
    edit_sealed(stranger.index, attribute("dataset", NASTY))
    edit_sealed(stranger.index, attribute("weights", f"random:{NASTY}"))
    folder = stranger.index.parent
    for command in (["info"], ["train", *TRAIN, "--name", "x", "--features"]):
        done = call_vpar(*command, str(stranger.index), folder=folder)
        assert done.returncode == 0
        assert not set("\x1b\x07\u202e") & set(done.stdout + done.stderr)
