"""A run folder that cannot be written is one line, and nothing is left of it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from vpar_cache.errors import CacheError
from vpar_cache.runs.folder import new_run_folder, refuse_finished, write_json


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(CacheError, match=rf"{folder}\S*: File too large"), new_run_folder(folder) as partial:
            write_json(partial / "run.json", {"text": "x" * 10_000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(folder.parent.iterdir()) == []


def test_a_file_where_the_run_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("a file")
    with pytest.raises(CacheError, match=rf"^{tmp_path / 'first'}: Not a directory"):
        refuse_finished(tmp_path / "first", overwrite=False)
