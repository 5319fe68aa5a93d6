"""`--frames all`: the mean over every frame, in pieces, is what one batch of all frames gives."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache.features import open_features
from vpar_cache.cache.info import describe_cache
from vpar_cache.datasets import loading
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.datasets.draws import Draw, Source
from vpar_cache.datasets.loading import cut, load_piece, load_tracklet
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import CacheError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors import local as shard_run
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]
LONG = 37
"""Frames of the long tracklets: over two pieces, and no multiple of anything."""


@pytest.fixture(scope="module")
def long_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two train tracklets and a test tracklet of 37 frames."""
    return write_demo(tmp_path_factory.mktemp("long") / "tracklets", DemoSize(2, 1, 1, LONG), 0)


def least_cosine(one: Any, other: Any) -> float:
    a, b = (np.asarray(x, np.float64) for x in (one, other))
    assert a.shape == b.shape
    return float(((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)).min())


def visual_of(config: ExtractConfig) -> NDArray[Any]:
    features = open_features(extract(config).index)
    return features.visual.gather(np.arange(len(features.tracklet_ids)))


@pytest.mark.parametrize("batch_size", [1, 3, 20, 1000])
def test_all_frames_give_what_as_many_frames_as_there_are_give(
    long_root: Path, extract_config: Make, tmp_path: Path, batch_size: int
) -> None:
    counts = [len(tracklet.frames) for tracklet in load_mars(long_root).tracklets]
    assert min(counts) == max(counts) == LONG
    counted = visual_of(extract_config(tmp_path / "n.h5", root=long_root, frames=LONG))
    whole = visual_of(extract_config(tmp_path / "all.h5", root=long_root, frames=None, batch_size=batch_size))
    assert least_cosine(whole, counted) >= 0.9999
    few = visual_of(extract_config(tmp_path / "few.h5", root=long_root, frames=3))
    assert not np.array_equal(few, counted), "all frames are not the same frame"


def test_only_means_are_stored(demo_root: Path, extract_config: Make, tmp_path: Path) -> None:
    index = extract(extract_config(tmp_path / "all.h5", frames=None, views=2)).index
    features = open_features(index)
    assert set(features.arrays) == {"visual", "augmented"}
    assert features.num_views == 2
    assert features.visual_config["frames"] == "all"
    assert describe_cache(index)["frames"] == "all"
    with h5py.File(index) as file:
        assert not np.isnan(file["visual"][()]).any()


def test_views_are_flips_and_shifts_of_all_frames(
    demo_root: Path, extract_config: Make, tiny_backbone: str, tmp_path: Path
) -> None:
    """Four frames a tracklet: as many drawn are all of them, so the same views."""
    settings = {"views": 3}
    by_number = open_features(extract(extract_config(tmp_path / "4.h5", frames=4, **settings)).index)
    whole = open_features(extract(extract_config(tmp_path / "all.h5", frames=None, **settings)).index)
    rows = np.arange(12)
    views = whole.arrays["augmented"].gather(rows)
    assert least_cosine(views, by_number.arrays["augmented"].gather(rows)) >= 0.9999
    assert not np.array_equal(views[:, 0], views[:, 1])


def test_a_rerun_keeps_every_shard_and_another_number_of_frames_is_refused(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = extract_config(tmp_path / "all.h5", frames=None)
    first = extract(config)
    assert (first.shards_kept, first.shards_computed) == (0, 4)
    data = config.out.read_bytes()
    again = extract(config)
    assert (again.shards_kept, again.shards_computed) == (4, 0)
    rechecked = extract(extract_config(tmp_path / "all.h5", frames=None, recheck=True))
    assert (rechecked.shards_kept, rechecked.shards_computed) == (4, 0)
    assert config.out.read_bytes() == data
    with pytest.raises(CacheError, match="frames: 'all' -> 4"):
        extract(extract_config(tmp_path / "all.h5", frames=4))


def test_two_writers_write_the_bytes_of_one(extract_config: Make, long_root: Path, tmp_path: Path) -> None:
    settings = {"frames": None, "shard_size": 1, "root": long_root}
    one = extract(extract_config(tmp_path / "one" / "a.h5", **settings)).index
    two = extract(extract_config(tmp_path / "two" / "a.h5", devices=("cpu", "cpu"), **settings)).index
    assert one.read_bytes() == two.read_bytes()


def test_a_bad_frame_anywhere_leaves_its_tracklet_out_and_the_others_stay(
    extract_config: Make, tmp_path: Path
) -> None:
    root = write_demo(tmp_path / "tracklets", DemoSize(2, 1, 1, LONG), 0)
    tracklets = load_mars(root).tracklets
    whole = visual_of(extract_config(tmp_path / "whole.h5", root=root, frames=None))
    for bad in (LONG - 1, 20, 0):  # the first bad frame is the reason
        (tracklets[0].folder / tracklets[0].frames[bad]).write_bytes(b"no jpeg")
        config = extract_config(tmp_path / f"{bad}.h5", root=root, frames=None, max_bad=1)
        result = extract(config)
        assert [item.tracklet_id for item in result.skipped] == [tracklets[0].tracklet_id]
        assert result.skipped[0].reason.startswith(f"{tracklets[0].frames[bad]}: no image")
        features = open_features(config.out)
        assert features.tracklet_ids == tuple(t.tracklet_id for t in tracklets[1:])
        assert least_cosine(features.visual.gather(np.arange(2)), whole[1:]) >= 0.9999


def test_pieces_are_the_tracklet_and_their_hashes_its_digest(long_root: Path) -> None:
    tracklet = load_mars(long_root).tracklets[0]
    source = Source(tracklet, (Draw(tracklet.frames),))
    pieces = list(cut(source, 16))
    assert [len(piece.names) for piece in pieces] == [16, 16, 5]
    assert [piece.last for piece in pieces] == [False, False, True]
    assert [piece.last for piece in cut(source, LONG)] == [True]
    loaded = [load_piece(piece, 32, "pad") for piece in pieces]
    whole = load_tracklet(source, 32, "pad")
    assert whole.draws is not None
    np.testing.assert_array_equal(
        np.concatenate([item.frames for item in loaded if item.frames is not None]), whole.draws[0]
    )
    hashes = [digest for item in loaded for digest in item.hashes]
    assert loading.digest_source(source, hashes) == whole.digest


def test_frames_in_memory_are_bounded_however_long_a_tracklet_is(
    long_root: Path, extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoded and not yet encoded: two batches, and a piece for each hand in between."""
    held, most = 0, 0
    batches: list[int] = []
    load, encode = shard_run.load_piece, Encoder.sum_tokens

    def counting_load(piece: Any, size: int, resize: str) -> Any:
        nonlocal held, most
        loaded = load(piece, size, resize)
        held += len(piece.names)
        most = max(most, held)
        return loaded

    def counting_encode(self: Encoder, frames: NDArray[np.uint8]) -> Any:
        nonlocal held
        batches.append(len(frames))
        held -= len(frames)
        return encode(self, frames)

    monkeypatch.setattr(shard_run, "load_piece", counting_load)
    monkeypatch.setattr(Encoder, "sum_tokens", counting_encode)
    extract(extract_config(tmp_path / "a.h5", root=long_root, frames=None, batch_size=4, workers=1))
    assert max(batches) <= 4
    assert sum(batches) == 3 * LONG
    assert most <= 2 * 4 + 3 * 4


def test_a_gpu_out_of_memory_halves_the_sum(tiny_backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(
        tiny_backbone, "random:0", device=torch.device("cpu"), precision="fp32", normalize="own", offline=True
    )
    size = encoder.image_size
    frames = np.random.default_rng(0).integers(0, 256, (7, size, size, 3), dtype=np.uint8)
    wanted = encoder.encode_frames(frames[None]).tokens[0]
    tokens, sizes = encoder._tokens, []

    def small(part: NDArray[np.uint8]) -> Any:
        sizes.append(len(part))
        if len(part) > 2:
            raise torch.cuda.OutOfMemoryError
        return tokens(part)

    monkeypatch.setattr(encoder, "_tokens", small)
    assert least_cosine(encoder.mean_of(encoder.sum_tokens(frames), 7), wanted) >= 0.9999
    assert sizes == [7, 3, 1, 2, 4, 2, 2]

    def none(part: NDArray[np.uint8]) -> Any:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(encoder, "_tokens", none)
    with pytest.raises(UserError, match="one frame does not fit in the memory of cpu"):
        encoder.sum_tokens(frames)


def test_pieces_are_read_on_threads_in_order(long_root: Path) -> None:
    source = Source(load_mars(long_root).tracklets[0], (Draw(load_mars(long_root).tracklets[0].frames),))
    with ThreadPoolExecutor(4) as pool:
        items = loading.map_ahead(pool, lambda piece: load_piece(piece, 16, "pad"), cut(source, 5), 3)
        names = [name for item in items for name in item.piece.names]
    assert names == list(source.tracklet.frames)
