"""An error about another fingerprint says which settings differ."""

from __future__ import annotations

from pathlib import Path

from vpar_cache.cache.fingerprint import differing_fields, other_settings

OURS = {"frames": 4, "same": 1, "new": "x"}
THEIRS = {"frames": 6, "same": 1, "old": 2}


def test_fields_are_shown_as_they_were_and_as_they_are() -> None:
    assert differing_fields(OURS, THEIRS) == ["frames: 6 -> 4", "new: None -> 'x'", "old: 2 -> None"]


def test_the_error_names_the_cache_the_fields_and_the_way_out_which_deletes_nothing() -> None:
    message = str(other_settings(Path("cache/mars.h5"), OURS, THEIRS))
    assert "cache/mars.h5 holds features of other settings (frames: 6 -> 4; new: None -> 'x'" in message
    assert "another --out" in message
    assert "--overwrite" in message
    assert "delete" not in message
