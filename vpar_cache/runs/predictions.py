"""predictions.parquet of a run: written by training, read by everything that looks at single tracklets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vpar_cache.base.files import read_plain
from vpar_cache.errors import CacheError, DataError
from vpar_cache.metrics.inputs import Bools, Floats, check_inputs
from vpar_cache.metrics.scoring import PROTOCOLS
from vpar_cache.runs.parquet_columns import label_matrix, matrix, read_columns, tracklet_ids
from vpar_cache.runs.scored_rows import rows_digest

if TYPE_CHECKING:
    from vpar_cache.runs.finished import FinishedRun

_SCHEMA = pa.schema(
    {
        "tracklet_id": pa.string(),
        "dataset": pa.string(),
        "split": pa.string(),
        "person_id": pa.int32(),
        "camera_id": pa.int32(),
        "num_frames": pa.int32(),
        "quality": pa.list_(pa.uint8()),
        "probabilities": pa.list_(pa.float32()),
        "labels": pa.list_(pa.uint8()),
    }
)
_MAX_BYTES = 1 << 30
_FIX = "train the run again"
_TOLERANCE = 1e-6
"""Between a score in metrics.json and the same score computed here: sums in another order differ slightly."""


@dataclass(frozen=True, eq=False)
class RunPredictions:
    """N tracklets of a run, in the order of its cache."""

    tracklet_ids: Sequence[str]
    datasets: Sequence[str]
    """Of the caches that they are from: tracklet ids may repeat between two."""
    splits: Sequence[str]
    """validation or test"""
    person_ids: NDArray[np.int64]
    """(N,)"""
    camera_ids: NDArray[np.int64]
    """(N,)"""
    num_frames: NDArray[np.int64]
    """(N,)"""
    quality: Bools
    """(N, Q) the dataset's own flags, in the schema's order"""
    probabilities: Floats
    """(N, A) float32, as they were scored: in float64 a value could move across a threshold"""
    labels: Bools
    """(N, A), False where unknown"""
    known: Bools
    """(N, A)"""


def write_predictions(path: Path, predictions: RunPredictions) -> None:
    """Write one row a tracklet; lists in the schema's order of outputs and flags, null for an unknown label."""
    columns = (
        pa.array(predictions.tracklet_ids),
        pa.array(predictions.datasets),
        pa.array(predictions.splits),
        pa.array(predictions.person_ids, pa.int32()),
        pa.array(predictions.camera_ids, pa.int32()),
        pa.array(predictions.num_frames, pa.int32()),
        _lists(predictions.quality.astype(np.uint8)),
        _lists(predictions.probabilities),
        _lists(predictions.labels.astype(np.uint8), ~predictions.known),
    )
    pq.write_table(pa.table(columns, _SCHEMA), path, write_page_checksum=True)


def _lists(values: NDArray[Any], null: Bools | None = None) -> pa.ListArray:
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]  # (N + 1,)
    mask = None if null is None else null.reshape(-1)  # (N * width,)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(-1), mask=mask))


def read_test_predictions(run: FinishedRun) -> RunPredictions:
    """Return the rows of the test set of `run`.

    Raises CacheError for a missing or damaged file, and for predictions without the scores in metrics.json.
    """
    path = run.folder / "predictions.parquet"
    try:
        data = read_plain(path, _MAX_BYTES)
    except FileNotFoundError as error:
        raise CacheError(f"{path} is missing, and a table of single tracklets needs it; {_FIX}") from error
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror}; make it readable, or {_FIX}") from error
    try:
        predictions = _parse(data, run)
        _check_scores(predictions, run)
    except DataError as error:
        raise CacheError(f"{path}: {error}") from error
    return predictions


def _parse(data: bytes, run: FinishedRun) -> RunPredictions:
    table = read_columns(pa.BufferReader(data), _SCHEMA.names, (), _FIX)
    try:
        table = table.select(_SCHEMA.names).cast(_SCHEMA)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"the columns are not those of a run ({error}); {_FIX}") from error
    for name in _SCHEMA.names:
        if table[name].null_count:
            raise DataError(f"column {name!r}: {table[name].null_count} rows are empty; {_FIX}")
    table = table.filter(pc.and_(pc.equal(table["split"], "test"), pc.equal(table["dataset"], run.dataset)))
    names = tracklet_ids(table)
    schema = run.schema
    rule = f"schema {schema.name} has {schema.num_outputs} outputs and {len(schema.quality)} flags; {_FIX}"
    probabilities = matrix(table, "probabilities", names, schema.num_outputs, rule, np.float32)
    labels, known = label_matrix(table, names, schema.num_outputs, rule)
    quality = matrix(table, "quality", names, len(schema.quality), rule)  # (N, Q)
    groups = schema.named_slices()
    _, truth, _ = check_inputs(probabilities, labels, groups, one_class=True, names=names, known=known)
    invalid = ~np.isin(quality, (0, 1)).all(axis=1)  # (N,)
    if invalid.any():
        raise DataError(f"tracklet {names[invalid.argmax()]!r}: a quality flag is neither 0 nor 1; {_FIX}")
    person_ids, camera_ids, num_frames = (table[name].to_numpy().astype(np.int64) for name in _SCHEMA.names[3:6])
    splits = ["test"] * len(names)
    return RunPredictions(
        names,
        [run.dataset] * len(names),
        splits,
        person_ids,
        camera_ids,
        num_frames,
        quality == 1,
        probabilities,
        truth,
        known,
    )


def _check_scores(predictions: RunPredictions, run: FinishedRun) -> None:
    """Refuse a file of another run: its details would contradict the scores in the tables."""
    people = None if run.num_people is None else predictions.person_ids  # (N,)
    found = rows_digest(run.schema, predictions.tracklet_ids, people, predictions.labels, predictions.known)
    if found != run.rows:
        raise DataError(
            f"the {len(predictions.tracklet_ids)} test tracklets are not those of metrics.json ({found[:12]}, "
            f"expected {run.rows[:12]}): the files are of different runs; {_FIX}"
        )
    groups = run.schema.named_slices()
    for name, protocol in PROTOCOLS.items():
        scores = protocol.score(predictions.probabilities, predictions.labels, groups, known=predictions.known)
        f1 = scores.average["f1"]
        expected = run.scores[name].average["f1"]
        if abs(f1 - expected) > _TOLERANCE:
            raise DataError(
                f"the average {name} F1 is {f1:.4f} here, but {expected:.4f} in metrics.json: the files are of "
                f"different runs; {_FIX}"
            )
