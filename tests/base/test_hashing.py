"""Canonical JSON is one spelling per value, and fingerprints follow it."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.base import hashing
from vpar_cache.base.hashing import canonical_json, fingerprint, hash_bytes, hash_file

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


@pytest.mark.parametrize("skip", [0, 1, 512, 10_000])
def test_a_hash_is_blake3_of_the_bytes_after_the_skipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skip: int
) -> None:
    monkeypatch.setattr(hashing, "_CHUNK_BYTES", 1000)  # several chunks, the last one short
    data = os.urandom(8765)
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    assert hash_file(path, skip=skip) == blake3(data[skip:]).hexdigest()
    assert hash_bytes(data) == blake3(data).hexdigest()
