"""Rows move between shards: only new and changed tracklets are encoded, whatever shard a row lay in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.comparing import bytes_of, rows_of
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.hints import load_encode_seconds
from vpar_cache.cache.verify import verify_cache
from vpar_cache.datasets.mars import load_mars
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import CacheError
from vpar_cache.extraction import shard, stored_rows
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors import local
from vpar_cache.extraction.extract import ExtractResult, extract

Make = Callable[..., ExtractConfig]


@pytest.fixture
def dataset(demo_root: Path) -> Dataset:
    """12 train and 6 test tracklets."""
    return load_mars(demo_root)


@pytest.fixture
def run(extract_config: Make, tmp_path: Path) -> Callable[..., ExtractResult]:
    """Extract a dataset of its own into one cache, again and again."""

    def extract_into(dataset: Dataset, **changes: Any) -> ExtractResult:
        return extract(extract_config(tmp_path / "a.h5", dataset=None, root=None, **changes), dataset=dataset)

    return extract_into


def without(dataset: Dataset, *numbers: int) -> Dataset:
    return replace(dataset, tracklets=tuple(t for n, t in enumerate(dataset.tracklets) if n not in numbers))


def all_rows(index: Path) -> dict[str, dict[str, NDArray[np.float16]]]:
    """Of each big array the rows by tracklet id; it checks every seal as well."""
    features = open_features(index)
    assert verify_cache(index).problems == ()
    ids = features.tracklet_ids
    return {
        name: dict(zip(ids, rows_of(index, name), strict=False))  # /augmented: the first ids alone
        for name in features.arrays
    }


def assert_same_rows(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Of the tracklets that both have, every bit."""
    assert set(one) == set(other)
    for name in one:
        for tracklet_id in set(one[name]) & set(other[name]):
            np.testing.assert_array_equal(one[name][tracklet_id], other[name][tracklet_id])


def counts(result: ExtractResult) -> tuple[int, int]:
    return result.encoded, result.copied


@pytest.mark.parametrize("added", [0, 8, 17])
@pytest.mark.parametrize("settings", [{}, {"views": 2, "keep_frames": True}, {"frames": None}])
def test_one_tracklet_added_to_n_encodes_one(
    run: Callable[..., ExtractResult], dataset: Dataset, added: int, settings: dict[str, Any]
) -> None:
    index = run(without(dataset, added), **settings).index
    before = all_rows(index)
    assert counts(run(dataset, **settings)) == (1, 17)
    after = all_rows(index)
    assert_same_rows(before, after)
    assert list(after["visual"]) == [tracklet.tracklet_id for tracklet in dataset.tracklets]
    assert np.isfinite(after["visual"][dataset.tracklets[added].tracklet_id]).all()


@pytest.mark.parametrize("size", [1, 4, 7, 18])
@pytest.mark.parametrize("settings", [{}, {"views": 2, "keep_frames": True}])
def test_another_shard_size_encodes_none(
    run: Callable[..., ExtractResult], dataset: Dataset, size: int, settings: dict[str, Any]
) -> None:
    index = run(dataset, **settings).index
    before, text = all_rows(index), open_features(index).text
    assert counts(run(dataset, shard_size=size, **settings)) == (0, 18)
    assert_same_rows(before, all_rows(index))
    assert len(bytes_of(index)) == 1 + -(-18 // size)
    np.testing.assert_array_equal(open_features(index).text, text)


@pytest.mark.usefixtures("no_encoding", "no_encoder")
def test_a_run_that_only_copies_builds_no_encoder(extracted: Path, extract_config: Make) -> None:
    assert counts(extract(extract_config(extracted, shard_size=7))) == (0, 18)


@pytest.mark.parametrize("removed", [(0,), (8,), (17,), (1, 5, 13)])
def test_some_removed_encodes_none(
    run: Callable[..., ExtractResult], dataset: Dataset, removed: tuple[int, ...]
) -> None:
    index = run(dataset).index
    before = all_rows(index)
    assert counts(run(without(dataset, *removed), overwrite=True)) == (0, 18 - len(removed))
    after = all_rows(index)
    assert_same_rows(before, after)
    assert len(after["visual"]) == 18 - len(removed)


def test_half_a_dataset_completed_to_the_whole_encodes_the_other_half(
    run: Callable[..., ExtractResult], dataset: Dataset
) -> None:
    index = run(dataset, limit=9).index
    before = all_rows(index)
    assert counts(run(dataset)) == (9, 9)
    assert_same_rows(before, all_rows(index))


def test_a_cache_that_grows_and_shrinks_is_that_of_one_run(
    run: Callable[..., ExtractResult], dataset: Dataset, extract_config: Make, tmp_path: Path
) -> None:
    """With one tracklet a batch, so that no batch differs."""
    whole = extract_config(tmp_path / "whole" / "a.h5", batch_size=2)
    extract(whole)
    run(dataset, limit=9, batch_size=2)
    run(dataset, batch_size=2)
    run(without(dataset, 3), batch_size=2, overwrite=True)
    index = run(dataset, batch_size=2).index
    assert bytes_of(index) == bytes_of(whole.out)


def test_no_file_that_the_published_index_lists_is_changed_before_the_next_is_published(
    run: Callable[..., ExtractResult], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = run(without(dataset, 0)).index
    before = bytes_of(index)
    write, written = shard.write_shard, []

    def spy(folder: Path, contents: Any) -> Path:
        written.append(write(folder, contents))
        now = bytes_of(index)
        assert {name: now.get(name) for name in before} == before
        assert verify_cache(index).problems == ()
        if len(written) == 3:
            raise KeyboardInterrupt
        return written[-1]

    with monkeypatch.context() as patch:
        patch.setattr(shard, "write_shard", spy)
        with pytest.raises(KeyboardInterrupt):
            run(dataset)
    assert {name: bytes_of(index)[name] for name in before} == before
    result = run(dataset)
    assert (result.shards_kept, result.encoded) == (3, 1), "the three that were written are used"
    assert len(bytes_of(index)) == 5, "what the index no longer lists is gone"


def test_a_tracklet_that_was_left_out_is_neither_encoded_nor_forgotten_in_other_shards(
    run: Callable[..., ExtractResult], demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(demo_root, tmp_path / "root"))
    bad = load_mars(root).tracklets[6]
    (bad.folder / bad.frames[1]).write_bytes(b"no picture")
    dataset = load_mars(root)
    first = run(dataset, max_bad=1)
    monkeypatch.setattr(local, "build_encoder", lambda *_: pytest.fail("an encoder was built"))
    again = run(dataset, max_bad=1, shard_size=7)
    assert counts(again) == (0, 17)
    assert [(item.tracklet_id, item.reason) for item in again.skipped] == [
        (item.tracklet_id, item.reason) for item in first.skipped
    ]
    assert bad.tracklet_id not in open_features(again.index).tracklet_ids


def test_other_settings_are_refused_by_a_shard_alone(extract_config: Make, tmp_path: Path) -> None:
    config = extract_config(tmp_path / "a.h5")
    extract(config)
    config.out.unlink()
    with pytest.raises(CacheError, match=r"other settings \(frames: 2 -> 3\)"):
        extract(extract_config(config.out, frames=3))
    assert extract(extract_config(config.out, frames=3, overwrite=True)).encoded == 18
    assert len(bytes_of(config.out)) == 5


def test_a_shard_of_other_settings_among_good_ones_is_not_used(extract_config: Make, tmp_path: Path) -> None:
    config, other = extract_config(tmp_path / "a.h5"), extract_config(tmp_path / "b.h5", normalize="half")
    extract(config)
    extract(other)
    wanted = bytes_of(config.out)
    for path in fmt.shard_folder(other.out).glob("shard-*.h5"):
        path.rename(fmt.shard_folder(config.out) / path.name)
    assert extract(config).shards_kept == 4
    assert bytes_of(config.out) == wanted


def test_what_was_read_is_remembered_even_when_a_run_is_stopped(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, write, written = extract_config(tmp_path / "a.h5"), shard.write_shard, []

    def stop_at_the_third(folder: Path, contents: Any) -> Path:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(write(folder, contents))
        return written[-1]

    with monkeypatch.context() as patch:
        patch.setattr(shard, "write_shard", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            extract(config)
    monkeypatch.setattr(stored_rows, "hash_tracklet", lambda source: pytest.fail("a source was read again"))
    assert extract(config).shards_kept == 2


def test_the_time_of_encoding_is_recorded_per_tracklet(extract_config: Make, tmp_path: Path) -> None:
    config = extract_config(tmp_path / "a.h5")
    assert load_encode_seconds(config.out) is None
    whole = extract(config).seconds
    seconds = load_encode_seconds(config.out)
    assert seconds is not None
    assert 0 < seconds <= whole / 18
    extract(config)
    assert load_encode_seconds(config.out) == seconds, "a run that encodes nothing measures nothing"
