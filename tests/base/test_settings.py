"""Canonical JSON is one spelling per value, and fingerprints follow it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.base.settings import canonical_json, check_at_least, check_choice, fingerprint
from vpar_cache.errors import UserError

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(value=st.dictionaries(st.text(), _JSON))
def test_canonical_json_gives_the_value_back_and_does_not_depend_on_the_order_of_keys(
    value: dict[str, Any],
) -> None:
    assert json.loads(canonical_json(value)) == value
    turned = dict(reversed(value.items()))
    assert canonical_json(turned) == canonical_json(value)
    assert fingerprint(turned) == fingerprint(value)


def test_canonical_json_is_compact_sorted_and_readable() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "ß"}) == '{"a":"ß","b":[1,2.5]}'


def test_nan_has_no_canonical_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": math.nan})


def test_a_wrong_value_is_named_with_its_option() -> None:
    with pytest.raises(UserError, match=r"--resize.*'crop'.*pad, stretch"):
        check_choice("--resize", "crop", ("pad", "stretch"))
    for value in (-1, math.nan, math.inf):
        with pytest.raises(UserError, match=rf"--frames.*{value}"):
            check_at_least("--frames", value, 1)
