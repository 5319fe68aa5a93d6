"""The run folder: whole or not at all, and never overwritten unasked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vpar_cache.errors import CacheError
from vpar_cache.runs import new_run_folder, refuse_finished, write_predictions


def test_a_folder_appears_only_when_its_block_succeeds(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    with pytest.raises(RuntimeError), new_run_folder(folder) as partial:
        (partial / "run.json").write_text("{}")
        raise RuntimeError
    assert list((tmp_path / "runs").iterdir()) == []
    with new_run_folder(folder) as partial:
        (partial / "run.json").write_text("{}")
        assert not folder.exists()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]


def test_a_failed_overwrite_leaves_the_old_run(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "run.json").write_text("old")
    with pytest.raises(RuntimeError), new_run_folder(folder):
        raise RuntimeError
    assert (folder / "run.json").read_text() == "old"


def test_a_finished_run_is_refused_unless_overwrite_is_asked_for(tmp_path: Path) -> None:
    refuse_finished(tmp_path / "absent", overwrite=False)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(CacheError, match="--overwrite"):
        refuse_finished(tmp_path, overwrite=False)
    refuse_finished(tmp_path, overwrite=True)


def test_a_folder_of_something_else_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CacheError, match=r"thesis\.tex"):
        refuse_finished(tmp_path, overwrite=True)


def test_predictions_round_trip(tmp_path: Path) -> None:
    probabilities = np.random.default_rng(0).random((3, 4), dtype=np.float32)
    labels = np.eye(3, 4, dtype=np.uint8)
    write_predictions(tmp_path / "p.parquet", ["a", "b", "ü"], ["test"] * 3, probabilities, labels)
    rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert [row["tracklet_id"] for row in rows] == ["a", "b", "ü"]
    np.testing.assert_array_equal(np.array([row["probabilities"] for row in rows], np.float32), probabilities)
    np.testing.assert_array_equal([row["labels"] for row in rows], labels)
