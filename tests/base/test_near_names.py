"""A name that differs in what people do not keep apart is found, and the difference is named."""

from __future__ import annotations

import pytest

from vpar_cache.base.near_names import NameIndex, differences


@pytest.mark.parametrize(
    ("name", "near", "what"),
    [
        ("7/1", "0007/01", ["leading zeros"]),
        ("Anna/Seq1", "anna/seq1", ["case"]),
        ("anna/seq1", "anna_seq1", ["separators"]),
        ("anna\\seq1", "anna/seq1", ["separators"]),
        ("jos\u00e9", "jose\u0301", ["Unicode form"]),
        ("f1.jpg", "f1.JPG", ["case"]),
        ("f1.jpg", "F001.png", ["ending", "case", "leading zeros"]),
    ],
)
def test_a_near_name_is_found_with_its_difference(name: str, near: str, what: list[str]) -> None:
    assert NameIndex(["other", near]).near(name) == near
    assert differences(name, near) == what


@pytest.mark.parametrize("other", ["70/1", "7/10", "annb/seq1", "f10.jpg"])
def test_another_name_is_not_near(other: str) -> None:
    index = NameIndex([other])
    for name in ("7/1", "anna/seq1", "f1.jpg"):
        assert index.near(name) is None
