"""Names of the files of a cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpar_cache.cache.format import SHARD_NAME, shard_folder, shard_name


def test_shards_lie_in_the_folder_beside_the_index() -> None:
    assert shard_folder(Path("cache/my.mars.h5")) == Path("cache/my.mars")
    assert [shard_name(n) for n in (0, 123_456)] == ["shard-00000.h5", "shard-123456.h5"]


@pytest.mark.parametrize("name", ["shard-1.h5", "../shard-00000.h5", "shard-00000.h5\n", "shard-00000.h5.partial"])
def test_no_other_name_is_a_shard(name: str) -> None:
    assert SHARD_NAME.fullmatch(shard_name(7))
    assert not SHARD_NAME.fullmatch(name)
