"""Predictions of a run: read as they were scored, and refused where they are not what was scored."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.fake_runs import SMALL, known_labels, make_run, people_of, predictions
from vpar_cache.errors import CacheError
from vpar_cache.runs.finished import read_run
from vpar_cache.runs.predictions import read_test_predictions, write_predictions

SCHEMA = replace(SMALL, quality=("occlusion", "cut-out"))


@pytest.fixture
def folder(tmp_path):
    return make_run(tmp_path, "a", schema=SCHEMA, details=True)


def rewrite(folder, edit):
    """`edit` changes the columns, each a list."""
    path = folder / "predictions.parquet"
    columns = pq.read_table(path).to_pydict()
    edit(columns)
    pq.write_table(pa.table(columns), path)


def test_test_rows_read_back_as_they_were_scored(folder):
    probabilities, labels = predictions(SCHEMA, 24)
    found = read_test_predictions(read_run(folder))
    assert found.probabilities.dtype == np.float32
    assert (found.probabilities == probabilities.astype(np.float32)).all()
    assert (found.labels == labels).all()
    assert (found.person_ids == people_of(24, 6)).all()
    assert found.camera_ids.tolist() == [1, 2, 3] * 8
    assert found.quality[:, 1].tolist() == [True, False, False] * 8
    assert found.num_frames[:3].tolist() == [2, 3, 4]
    assert found.tracklet_ids[1] == "0001C1T0001"


def test_what_is_written_reads_back(folder):
    run = read_run(folder)
    first = read_test_predictions(run)
    write_predictions(folder / "predictions.parquet", first)
    again = read_test_predictions(run)
    for name, values in vars(first).items():
        np.testing.assert_array_equal(getattr(again, name), values)


def test_validation_rows_are_left_out(folder):
    whole = read_test_predictions(read_run(folder))

    def add(columns):
        for name, values in columns.items():
            values[:0] = ["validation"] * 3 if name == "split" else [values[0]] * 3

    rewrite(folder, add)
    found = read_test_predictions(read_run(folder))
    assert found.tracklet_ids == whole.tracklet_ids
    assert (found.probabilities == whole.probabilities).all()


def set_value(column, row, value):
    return lambda columns: columns[column].__setitem__(row, value)


BAD = {
    "no column": (lambda c: c.pop("person_id"), "no column 'person_id'"),
    "no test row": (lambda c: c.update(split=["validation"] * 24), "no test row"),
    "one id twice": (set_value("tracklet_id", 2, "0001C1T0001"), "'0001C1T0001' has 2 rows"),
    "a person missing": (set_value("person_id", 2, None), "column 'person_id': 1 rows are empty"),
    "half a camera": (lambda c: c.update(camera_id=[0.5] * 24), "columns are not those of a run"),
    "a flag of 2": (set_value("quality", 4, [0, 2]), "'0004C1T0001': a quality flag is neither"),
    "three flags": (set_value("quality", 4, [0, 1, 1]), "'0004C1T0001' has 3 quality, but .* 2 flags"),
    "not a probability": (set_value("probabilities", 4, [2.0] * 4), "'0004C1T0001', output 0 .* must lie in"),
    "few labels": (set_value("labels", 4, [1]), "has 1 labels, but schema small has 4 outputs"),
    "two classes": (set_value("labels", 4, [0, 1, 1, 0]), "2 labels of the group are 1"),
    "a row less": (lambda c: [values.pop() for values in c.values()], "23 test tracklets are not those of"),
    "another label": (set_value("labels", 4, [1, 0, 1, 0]), "24 test tracklets are not those of metrics.json"),
    "another person": (set_value("person_id", 4, 99), "24 test tracklets are not those of metrics.json"),
    "a label now unknown": (set_value("labels", 4, [None, 0, 1, 0]), "are not those of metrics.json"),
    "another run": (lambda c: c["probabilities"].reverse(), "the average vtf F1 is .* of different runs"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "message"), BAD.values(), ids=BAD.keys())
def test_what_does_not_fit_is_refused_by_name(folder, edit, message):
    rewrite(folder, edit)
    with pytest.raises(CacheError, match=message) as caught:
        read_test_predictions(read_run(folder))
    assert str(folder / "predictions.parquet") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_labels_are_empty_in_the_file_and_stay_unknown(tmp_path):
    folder = make_run(tmp_path, "b", schema=SCHEMA, n=60, details=True, unknown=0.3)
    found = read_test_predictions(read_run(folder))
    known = known_labels(SCHEMA, 60, 0.3)
    assert (found.known == known).all()
    assert not found.labels[~known].any()
    write_predictions(folder / "predictions.parquet", found)
    column = pq.read_table(folder / "predictions.parquet")["labels"].combine_chunks()
    assert column.flatten().null_count == (~known).sum() > 0
    np.testing.assert_array_equal(read_test_predictions(read_run(folder)).known, known)


def test_people_that_are_not_known_are_no_part_of_what_must_fit(tmp_path):
    folder = make_run(tmp_path, "b", schema=SCHEMA, details=True, people=None)
    rewrite(folder, lambda columns: columns["person_id"].reverse())
    assert len(read_test_predictions(read_run(folder)).tracklet_ids) == 24


def test_a_missing_file_a_link_and_a_pipe_are_refused(folder, tmp_path):
    path = folder / "predictions.parquet"
    run = read_run(folder)
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match=r"predictions.parquet is missing.* train the run again"):
        read_test_predictions(run)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match="make it readable, or train the run again"):
        read_test_predictions(run)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CacheError, match=r"predictions.parquet.* train the run again"):
        read_test_predictions(run)


def test_no_flipped_bit_escapes_as_anything_but_a_cache_error(folder):
    path = folder / "predictions.parquet"
    good = path.read_bytes()
    run = read_run(folder)
    for i in range(0, len(good), 31):
        damaged = bytearray(good)
        damaged[i] ^= 1 << (i % 8)
        path.write_bytes(damaged)
        with contextlib.suppress(CacheError):
            read_test_predictions(run)
