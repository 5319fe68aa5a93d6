"""Names of the files of a cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpar_cache.cache.format import SHARD_NAME, follow_link, shard_folder, shard_name


def test_shards_lie_in_the_folder_beside_the_index() -> None:
    assert shard_folder(Path("cache/my.mars.h5")) == Path("cache/my.mars")


def test_the_name_of_a_shard_follows_from_settings_rows_their_order_and_what_was_left_out() -> None:
    one, other = "1" * 64, "2" * 64
    plans: list[tuple[str, list[str], list[str]]] = [
        ("a", [one, other], []),
        ("b", [one, other], []),
        ("a", [other, one], []),
        ("a", [one], []),
        ("a", [one], [other]),
    ]
    assert len({shard_name(*plan) for plan in plans}) == len(plans)
    assert shard_name(*plans[0]) == shard_name(*plans[0])


@pytest.mark.parametrize(
    "name",
    [
        "shard-1.h5",
        "../shard-0123456789abcdef.h5",
        "shard-0123456789abcdef.h5\n",
        "shard-0123456789abcdef.h5.partial",
    ],
)
def test_no_other_name_is_a_shard(name: str) -> None:
    assert SHARD_NAME.fullmatch(shard_name("a", [], []))
    assert not SHARD_NAME.fullmatch(name)


def test_a_link_leads_to_its_index_and_anything_else_stays(tmp_path: Path) -> None:
    (tmp_path / "link.h5").symlink_to("store/mars.h5")
    assert follow_link(tmp_path / "link.h5") == tmp_path / "store" / "mars.h5"
    assert follow_link(Path("cache/mars.h5")) == Path("cache/mars.h5")
