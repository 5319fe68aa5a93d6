"""A published shard is kept when it stands for the same settings and sources, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.comparing import bytes_of
from vpar_cache.cache import format as fmt
from vpar_cache.cache.hints import load_encode_seconds
from vpar_cache.errors import CacheError
from vpar_cache.extraction import published_shards
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

Make = Callable[..., ExtractConfig]


def test_other_settings_are_refused_by_a_shard_alone(extract_config: Make, tmp_path: Path) -> None:
    config = extract_config(tmp_path / "a.h5")
    extract(config)
    config.out.unlink()
    with pytest.raises(CacheError, match=r"other settings \(frames: 2 -> 3\)"):
        extract(extract_config(config.out, frames=3))
    for path in fmt.shard_folder(config.out).glob("shard-*.h5"):
        path.write_bytes(b"damaged: says nothing of its settings")
    assert extract(extract_config(config.out, frames=3)).shards_computed == 4


def test_a_stale_shard_among_good_ones_is_computed_again(extract_config: Make, tmp_path: Path) -> None:
    """A shard of other settings that was copied into the folder."""
    config, other = extract_config(tmp_path / "a.h5"), extract_config(tmp_path / "b.h5", normalize="half")
    extract(config)
    extract(other)
    wanted = bytes_of(config.out)
    stale = fmt.shard_folder(other.out) / "shard-00001.h5"
    stale.rename(fmt.shard_folder(config.out) / stale.name)
    assert extract(config).shards_kept == 3
    assert bytes_of(config.out) == wanted


def test_what_was_read_is_remembered_even_when_a_run_is_stopped(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, write = extract_config(tmp_path / "a.h5"), published_shards.write_shard

    def stop_at_the_third(path: Path, contents: Any) -> None:
        if path.name == "shard-00002.h5":
            raise KeyboardInterrupt
        write(path, contents)

    with monkeypatch.context() as patch:
        patch.setattr(published_shards, "write_shard", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            extract(config)
    monkeypatch.setattr(published_shards, "hash_tracklet", lambda source: pytest.fail("a source was read again"))
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
