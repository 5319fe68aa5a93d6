"""`--frames all`: the mean over every frame, in pieces, is what one batch of all frames gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.comparing import least_cosine, rows_of
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache.features import open_features
from vpar_cache.cache.info import describe_cache
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import CacheError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors import local
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]
LONG = 37
"""Frames of the long tracklets: over two pieces, and no multiple of anything."""


@pytest.fixture(scope="module")
def long_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two train tracklets and a test tracklet of 37 frames."""
    return write_demo(tmp_path_factory.mktemp("long") / "tracklets", DemoSize(2, 1, 1, LONG), 0)


@pytest.mark.parametrize("batch_size", [3, 1000])
def test_all_frames_give_what_as_many_frames_as_there_are_give(
    long_root: Path, extract_config: Make, tmp_path: Path, batch_size: int
) -> None:
    assert {len(tracklet.frames) for tracklet in load_mars(long_root).tracklets} == {LONG}
    settings = {"root": long_root, "views": 1}
    counted = extract(extract_config(tmp_path / "n.h5", frames=LONG, **settings)).index
    whole = extract(extract_config(tmp_path / "all.h5", frames=None, batch_size=batch_size, **settings)).index
    for name in ("visual", "augmented"):
        assert least_cosine(rows_of(whole, name), rows_of(counted, name)) >= 0.9999
    few = extract(extract_config(tmp_path / "few.h5", frames=3, **settings)).index
    assert not np.array_equal(rows_of(few), rows_of(counted)), "or all frames are the same"


def test_only_means_are_stored(extract_config: Make, tmp_path: Path) -> None:
    index = extract(extract_config(tmp_path / "all.h5", frames=None, views=2)).index
    features = open_features(index)
    assert set(features.arrays) == {"visual", "augmented"}
    assert features.num_views == 2
    assert features.visual_config["frames"] == "all"
    assert describe_cache(index)["frames"] == "all"


def test_a_rerun_keeps_every_shard_and_another_number_of_frames_is_refused(
    extract_config: Make, tmp_path: Path
) -> None:
    config = extract_config(tmp_path / "all.h5", frames=None)
    assert extract(config).encoded == 18
    data = config.out.read_bytes()
    assert extract(config).encoded == 0
    assert extract(extract_config(config.out, frames=None, recheck=True)).encoded == 0
    assert config.out.read_bytes() == data
    with pytest.raises(CacheError, match="frames: 'all' -> 4"):
        extract(extract_config(config.out, frames=4))


def test_two_writers_write_the_bytes_of_one(extract_config: Make, long_root: Path, tmp_path: Path) -> None:
    settings = {"frames": None, "shard_size": 1, "root": long_root}
    one = extract(extract_config(tmp_path / "one" / "a.h5", **settings)).index
    two = extract(extract_config(tmp_path / "two" / "a.h5", devices=("cpu", "cpu"), **settings)).index
    assert one.read_bytes() == two.read_bytes()


def test_a_bad_frame_anywhere_leaves_its_tracklet_out_and_names_the_first(
    extract_config: Make, tmp_path: Path
) -> None:
    root = write_demo(tmp_path / "tracklets", DemoSize(2, 1, 1, LONG), 0)
    first, *others = load_mars(root).tracklets
    for bad in (LONG - 1, 20, 0):
        (first.folder / first.frames[bad]).write_bytes(b"no jpeg")
        result = extract(extract_config(tmp_path / f"{bad}.h5", root=root, frames=None, max_bad=1))
        assert [item.tracklet_id for item in result.skipped] == [first.tracklet_id]
        assert result.skipped[0].reason.startswith(first.frames[bad])
        assert open_features(result.index).tracklet_ids == tuple(t.tracklet_id for t in others)


def test_frames_in_memory_are_bounded_however_long_a_tracklet_is(
    long_root: Path, extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoded and not yet encoded: two batches, and a piece for each thread in between."""
    held, most = 0, 0
    batches: list[int] = []
    load, encode = local.load_piece, Encoder.sum_tokens

    def counting_load(piece: Any, size: int, resize: str) -> Any:
        nonlocal held, most
        item = load(piece, size, resize)
        held += len(piece.names)
        most = max(most, held)
        return item

    def counting_encode(self: Encoder, frames: NDArray[np.uint8]) -> Any:
        nonlocal held
        batches.append(len(frames))
        held -= len(frames)
        return encode(self, frames)

    monkeypatch.setattr(local, "load_piece", counting_load)
    monkeypatch.setattr(Encoder, "sum_tokens", counting_encode)
    extract(extract_config(tmp_path / "a.h5", root=long_root, frames=None, batch_size=4, workers=1))
    assert max(batches) <= 4
    assert sum(batches) == 3 * LONG
    assert most <= 2 * 4 + 3 * 4
