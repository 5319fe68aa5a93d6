"""A shard task depends on tracklets and settings alone; its digest and signature see every change of a source."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vpar_cache.cache.format import SHARD_BYTES
from vpar_cache.datasets.frame_choice import Source, digest_source
from vpar_cache.datasets.tracklet import Tracklet
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.plan import (
    ShardTask,
    estimate_bytes,
    file_signature,
    plan_shards,
    row_shapes,
)

ROW_BYTES = 197 * 512 * 2


def tracklet(number: int, split: str = "train", frames: int = 9, folder: Path = Path("nowhere")) -> Tracklet:
    names = tuple(f"{i:03d}.jpg" for i in range(frames))
    empty = np.zeros(0, np.uint8)
    return Tracklet(f"{number:04d}C1T0001", split, number, 1, folder, names, empty, empty)  # type: ignore[arg-type]


def plan(tracklets: list[Tracklet], row_bytes: int = ROW_BYTES, **settings: Any) -> tuple[tuple[Source, ...], ...]:
    config = ExtractConfig(dataset="mars", root=Path("x"), out=Path("a.h5"), **settings)
    return plan_shards(tracklets, config, row_bytes)


MANY = [tracklet(n) for n in range(12)] + [tracklet(n, "test") for n in range(12, 17)]


@pytest.mark.parametrize(("size", "lengths"), [(1, [1] * 17), (5, [5, 5, 5, 2]), (99, [17])])
def test_shards_cut_the_tracklets_in_their_order(size: int, lengths: list[int]) -> None:
    shards = plan(MANY, shard_size=size)
    assert [len(sources) for sources in shards] == lengths
    assert [source.tracklet for sources in shards for source in sources] == MANY


def test_shards_are_about_52_megabytes_unless_told() -> None:
    shards = plan([tracklet(n) for n in range(600)], ROW_BYTES + 6 * 512 * 2)
    assert len(shards[0]) in range(256, 264)
    assert [len(sources) for sources in plan(MANY[:3], 2 * SHARD_BYTES)] == [1, 1, 1]


def test_the_plan_does_not_depend_on_devices_workers_or_batches() -> None:
    other = plan(MANY, shard_size=5, devices=("cuda:0", "cuda:1"), workers=9, batch_size=1, max_bad=3)
    assert other == plan(MANY, shard_size=5)


def test_train_tracklets_alone_have_views_and_views_have_jitter() -> None:
    sources = [source for shard in plan(MANY, frames=3, views=2) for source in shard]
    for source in sources:
        plain, *views = source.draws
        assert plain.jitter is None
        assert plain.frames == ("001.jpg", "004.jpg", "007.jpg")
        assert len(views) == (2 if source.tracklet.split == "train" else 0)
        assert all(view.jitter is not None and len(view.frames) == 3 for view in views)
    drawn = {view.frames for source in sources for view in source.draws[1:]}
    assert len(drawn) > 12, "each view draws frames of its own"


def test_a_draw_does_not_depend_on_the_other_tracklets() -> None:
    alone = plan([MANY[7]], views=2, sampling="random")[0][0]
    assert alone == plan(MANY, views=2, sampling="random", shard_size=4)[1][3]


def test_files_are_listed_once_in_order_of_use() -> None:
    source = plan([tracklet(1, frames=2)], frames=4, views=3)[0][0]
    assert source.files() == ("000.jpg", "001.jpg")


def test_arrays_follow_the_settings() -> None:
    config = ExtractConfig(out=Path("a.h5"), frames=2)
    assert row_shapes(config, 5, 32) == {"visual": (5, 32), "frame_embeddings": (2, 32)}
    config = ExtractConfig(out=Path("a.h5"), views=3, keep_frames=True, frames=4)
    assert row_shapes(config, 5, 32) == {
        "visual": (5, 32),
        "frame_embeddings": (4, 32),
        "augmented": (3, 5, 32),
        "frame_tokens": (4, 5, 32),
    }
    assert set(row_shapes(ExtractConfig(out=Path("a.h5"), frames=None, views=1), 5, 32)) == {"visual", "augmented"}


def test_an_estimate_counts_the_views_of_train_tracklets_alone() -> None:
    config = ExtractConfig(out=Path("a.h5"), views=3, frames=4)
    shapes = row_shapes(config, 5, 32)
    tasks = [ShardTask(n, shard, (None,) * len(shard)) for n, shard in enumerate(plan(MANY, views=3, frames=4))]
    arrays = 2 * (17 * (5 * 32 + 4 * 32) + 12 * 3 * 5 * 32)
    assert 0 < estimate_bytes(tasks, shapes) - arrays <= 17 * 400 + (len(tasks) + 5) * 10_000


# --- digests and signatures ---


def changed(source: Source, **changes: Any) -> Source:
    return dataclasses.replace(source, tracklet=dataclasses.replace(source.tracklet, **changes))


def test_a_digest_sees_ids_names_contents_and_their_order() -> None:
    one = plan([tracklet(1, frames=2)], frames=2)[0][0]
    renamed = plan([dataclasses.replace(one.tracklet, frames=("000.jpg", "1.jpg"))], frames=2)[0][0]
    digests = [
        digest_source(one, ["a", "b"]),
        digest_source(one, ["b", "a"]),
        digest_source(one, ["a", "c"]),
        digest_source(renamed, ["a", "b"]),
        digest_source(changed(one, tracklet_id="0002C1T0001"), ["a", "b"]),
    ]
    assert len(set(digests)) == 5
    assert digest_source(changed(one, labels=np.ones(3, np.uint8), person_id=7), ["a", "b"]) == digests[0]


def test_a_digest_and_a_signature_see_another_draw_of_the_same_files() -> None:
    train, test = (plan([tracklet(1, split, frames=1)], views=1)[0][0] for split in ("train", "test"))
    assert train.files() == test.files()
    assert digest_source(train, ["a"]) != digest_source(test, ["a"])
    assert file_signature(train) != file_signature(test)


@pytest.fixture
def on_disk(tmp_path: Path) -> Source:
    for name in ("000.jpg", "001.jpg"):
        (tmp_path / name).write_bytes(b"jpeg")
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    return plan([tracklet(1, frames=2, folder=tmp_path)], frames=2)[0][0]


def test_a_signature_sees_touched_resized_and_missing_files(on_disk: Source, tmp_path: Path) -> None:
    seen = [file_signature(on_disk)]
    assert file_signature(on_disk) == seen[0]
    os.utime(tmp_path / "001.jpg", ns=(10**18, 10**18 + 1))
    seen.append(file_signature(on_disk))
    (tmp_path / "001.jpg").write_bytes(b"longer")
    os.utime(tmp_path / "001.jpg", ns=(10**18, 10**18))
    seen.append(file_signature(on_disk))
    (tmp_path / "001.jpg").unlink()
    seen.append(file_signature(on_disk))
    assert len(set(seen)) == 4


@pytest.mark.parametrize("field", ["st_size", "st_mtime_ns", "st_ctime_ns"])
def test_a_signature_sees_each_field_by_itself(
    field: str, on_disk: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = {"st_size": 4, "st_mtime_ns": 5, "st_ctime_ns": 6}
    signatures = set()
    for changed in (stat, {**stat, field: 7}):
        monkeypatch.setattr(Path, "stat", lambda path, now=changed: SimpleNamespace(**now))
        signatures.add(file_signature(on_disk))
    assert len(signatures) == 2
