"""The tree of errors, and suggestions for a wrong name."""

from __future__ import annotations

import pytest

from vpar_cache.errors import CacheError, DataError, UserError, VparError, nearest, printable


@pytest.mark.parametrize("kind", [UserError, DataError, CacheError])
def test_every_error_is_a_vpar_error_and_no_other_kind(kind: type[VparError]) -> None:
    assert kind.__bases__ == (VparError,)
    assert not issubclass(VparError, OSError | ValueError)


def test_the_nearest_valid_name_comes_first() -> None:
    assert nearest("strech", ("pad", "stretch")) == "did you mean 'stretch'? valid are: pad, stretch"


def test_a_name_like_no_other_gets_no_guess() -> None:
    assert nearest("xyz", ("pad", "stretch")) == "valid are: pad, stretch"


def test_of_many_names_the_ten_nearest_are_shown() -> None:
    names = [f"ViT-{letter}-{number}" for letter in "BLH" for number in range(14, 34)]
    message = nearest("ViT-B-16-quik", names)
    assert message.startswith("did you mean 'ViT-B-16'? valid are, among 60: ViT-B-16, ")
    assert message.count(",") == 10
    assert nearest("?", names).startswith("valid are, among 60: ViT-B-14, ")


def test_a_name_with_control_characters_is_shown_as_one_line() -> None:
    assert printable("Größe 行 a-b") == "Größe 行 a-b"
    assert printable("a\nb\x1b[31m\u202e") == r"a\nb\x1b[31m\u202e"
