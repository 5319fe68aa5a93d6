"""Untrusted run folders and prediction files: refused in one line, or shown as the text that they hold."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.fake_runs import SMALL, make_run
from tests.support.hostile_files import NASTY, assert_refused, bounded, call_vpar
from vpar_cache.errors import CacheError
from vpar_cache.rendering.formats import render
from vpar_cache.reporting.report import report


def spoil(path: Path, key: str, value: Any) -> None:
    data = json.loads(path.read_text())
    data[key] = value
    path.write_text(json.dumps(data))


RUN_EDITS: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda run: (run / "run.json").write_bytes(b"\xff{"),
    "deep JSON": lambda run: (run / "metrics.json").write_text("[" * 200_000),
    "a pipe": lambda run: ((run / "run.json").unlink(), os.mkfifo(run / "run.json")),
    "a link out": lambda run: (
        (run / "metrics.json").rename(run.parents[1] / "outside" / "metrics.json"),
        (run / "metrics.json").symlink_to("../../outside/metrics.json"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", RUN_EDITS.values(), ids=RUN_EDITS.keys())
def test_a_hostile_run_folder_is_refused(edit: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    run = make_run(tmp_path / "runs", "one")
    edit(run)
    with bounded(tmp_path / "runs", outside=tmp_path / "outside"):
        done = call_vpar("report", str(run), folder=tmp_path)
    assert_refused(done, str(run))


def containers(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the lists and objects of a JSON tree are; of a list the first element alone."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree[:1]) if isinstance(tree, list) else ()
    for key, value in entries:
        if isinstance(value, dict | list):
            yield (*path, key)
            yield from containers(value, (*path, key))


@pytest.mark.slow
def test_no_change_of_metrics_escapes_as_anything_but_a_cache_error(tmp_path: Path) -> None:
    schema = replace(SMALL, quality=("occlusion",))
    folder = make_run(tmp_path, "a", schema=schema, n=30, selected=0.3, details=True, unknown=0.3)
    good = (folder / "metrics.json").read_text()
    messages = []
    for path in containers({**json.loads(good), "validation": None}):
        for value in ({}, [], {"other": "first"}):
            data = json.loads(good)
            parent = data
            for key in path[:-1]:
                parent = parent[key]
            first = next(iter(parent[path[-1]].values()), 0) if isinstance(parent[path[-1]], dict) else 0
            parent[path[-1]] = {"other": first} if value == {"other": "first"} else value
            (folder / "metrics.json").write_text(json.dumps(data))
            try:
                render(report([folder], tmp_path, details=True), "csv")
            except CacheError as error:
                messages.append(str(error))
    assert len(messages) > 150
    assert not [message for message in messages if "\n" in message]


def test_names_from_a_run_print_as_text_in_every_format(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "one", dataset=NASTY, weights=NASTY)
    spoil(tmp_path / "runs" / "one" / "run.json", "name", f"=cmd|' /C calc'!A1{NASTY}")
    for form in ("rich", "markdown", "csv", "json"):
        done = call_vpar("report", "--runs", "runs", "--format", form, folder=tmp_path)
        assert done.returncode == 0
        assert not set("\x1b\x07\u202e") & set(done.stdout + done.stderr)
        if form == "csv":
            cells = [cell for line in done.stdout.splitlines() for cell in line.split(",")]
            assert not [cell for cell in cells if cell.lstrip('"').startswith(("=", "+", "@"))]


# --- predictions ---


def columns(**changes: Any) -> dict[str, Any]:
    """Two predictions for the schema MARS."""
    labels = [0] * 9 + [1, 0, 0, 0, 0, 0] + [1, 0, 0, 0, 0] + [1] + [0] * 8 + [1] + [0] * 9 + [1, 0, 0, 0]
    good = {"tracklet_id": ["a", "b"], "probabilities": [[0.5] * 43] * 2, "labels": [labels] * 2}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


TABLES: dict[str, dict[str, Any]] = {
    "no labels": columns(labels=None, **{NASTY: ["x", "y"]}),
    "one id twice": columns(tracklet_id=[NASTY, NASTY]),
    "holes": columns(probabilities=[[0.5] * 42 + [None]] * 2),
}


def test_good_predictions_are_scored(tmp_path: Path) -> None:
    pq.write_table(pa.table(columns()), tmp_path / "p.parquet")
    with bounded(tmp_path):
        assert call_vpar("score", "p.parquet", folder=tmp_path).returncode == 0


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_hostile_predictions_are_refused(table: dict[str, Any], tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "p.parquet")
    with bounded(tmp_path):
        assert_refused(call_vpar("score", "p.parquet", folder=tmp_path), "p.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1" + bytes(1000) + b"PAR1"])
def test_anything_but_parquet_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(content)
    with bounded(tmp_path):
        assert_refused(call_vpar("score", "p.parquet", folder=tmp_path), "p.parquet")


def test_rows_of_few_bytes_each_are_counted_before_they_are_unpacked(tmp_path: Path) -> None:
    rows = 30_000_000
    names = pa.DictionaryArray.from_arrays(pa.array(bytes(rows), pa.int8()), ["a"])
    table = pa.table({"tracklet_id": names, "probabilities": pa.nulls(rows), "labels": pa.nulls(rows)})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=rows)
    del table, names
    assert (tmp_path / "p.parquet").stat().st_size < 300_000
    with bounded(tmp_path):
        done = call_vpar("score", "p.parquet", folder=tmp_path)
    assert_refused(done, f"{rows} rows, but 1000000 are the most")
