"""predictions.parquet of a finished run: the test rows, and proof that they are what metrics.json was made of.

Only what looks at single tracklets reads it (details, comparisons); Tables 1 and 2 do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vpar_cache.base.files import read_plain
from vpar_cache.errors import CacheError, DataError
from vpar_cache.metrics.protocols import Bools, Floats, ProtocolScores, check_inputs, videopar_scores, vtf_scores
from vpar_cache.runs.parquet import matrix, read_columns, texts, tracklet_ids, whole_numbers
from vpar_cache.runs.scores import THRESHOLDS, RunScores

_COLUMNS = (
    "tracklet_id", "split", "person_id", "camera_id", "num_frames", "quality", "probabilities", "labels",
)  # fmt: skip
_SPLITS = ("validation", "test")
_MAX_BYTES = 1 << 30
_MEND = "train the run again"
_TOLERANCE = 1e-6
"""Between a score in metrics.json and ours: sums in another order differ in their last bits."""


@dataclass(frozen=True, eq=False)
class RunPredictions:
    """N test tracklets of a run, in its order."""

    tracklet_ids: tuple[str, ...]
    person_ids: NDArray[np.int64]
    """(N,)"""
    camera_ids: NDArray[np.int64]
    """(N,)"""
    num_frames: NDArray[np.int64]
    """(N,)"""
    quality: Bools
    """(N, Q) the dataset's own flags, in the schema's order"""
    probabilities: Floats
    """(N, A) float32, as they were scored: another width would move ties with a threshold"""
    labels: Bools
    """(N, A)"""


def read_test_predictions(run: RunScores) -> RunPredictions:
    """The test rows of `run`. Raises CacheError that names the file, the first bad tracklet and the rule."""
    path = run.folder / "predictions.parquet"
    try:
        data = read_plain(path, _MAX_BYTES)
    except FileNotFoundError as error:
        raise CacheError(f"{path} is missing, and a table of single tracklets needs it; {_MEND}") from error
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror}; make it readable, or {_MEND}") from error
    try:
        if len(data) > _MAX_BYTES:
            raise DataError(f"more than {_MAX_BYTES} bytes, which no run writes; {_MEND}")
        predictions = _parse(data, run)
        _check_scores(predictions, run)
    except DataError as error:
        raise CacheError(f"{path}: {error}") from error
    return predictions


def _parse(data: bytes, run: RunScores) -> RunPredictions:
    table = read_columns(pa.BufferReader(data), _COLUMNS, (), _MEND)
    splits = texts(table, "split")
    unknown = [split for split in splits if split not in _SPLITS]
    if unknown:
        raise DataError(f"split {unknown[0]!r} is unknown: it must be {' or '.join(_SPLITS)}; {_MEND}")
    table = table.filter(pa.array([split == "test" for split in splits]))
    if table.num_rows == 0:
        raise DataError(f"no row of split 'test'; {_MEND}")
    names = tracklet_ids(table)
    schema = run.schema
    width = f"schema {schema.name} has {schema.num_outputs} outputs; {_MEND}"
    probabilities = matrix(table, "probabilities", names, schema.num_outputs, width, np.float32)
    labels = matrix(table, "labels", names, schema.num_outputs, width)
    groups = [(group.name, columns) for group, columns in schema.slices()]
    _, truth = check_inputs(probabilities, labels, groups, one_class=True, names=names)
    num_frames = whole_numbers(table, "num_frames", names)
    row = int(num_frames.argmin())
    if num_frames[row] < 1:
        raise DataError(f"tracklet {names[row]!r}: num_frames {num_frames[row]} must be at least 1; {_MEND}")
    return RunPredictions(
        tracklet_ids=tuple(names),
        person_ids=whole_numbers(table, "person_id", names),
        camera_ids=whole_numbers(table, "camera_id", names),
        num_frames=num_frames,
        quality=_flags(table, names, run),
        probabilities=probabilities,
        labels=truth,
    )


def _flags(table: Any, names: list[str], run: RunScores) -> Bools:
    """(N, Q)"""
    flags = run.schema.quality
    quality = matrix(table, "quality", names, len(flags), f"schema {run.schema.name} has {len(flags)}; {_MEND}")
    bad = np.argwhere((quality != 0) & (quality != 1))  # a NaN is neither
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"tracklet {names[row]!r}: quality flag {flags[column]!r} is {quality[row, column]:g}, but must be 0 "
            f"or 1; {_MEND}"
        )
    flagged: Bools = quality == 1
    return flagged


def _check_scores(predictions: RunPredictions, run: RunScores) -> None:
    """A file of another run would tell details of numbers that are not in the tables above them."""
    counted = len(predictions.tracklet_ids), len(np.unique(predictions.person_ids))
    if counted != (run.num_tracklets, run.num_people):
        raise DataError(
            f"{counted[0]} test tracklets of {counted[1]} people, but metrics.json says {run.num_tracklets} of "
            f"{run.num_people}: the files are of different runs; {_MEND}"
        )
    sources = [("run", predictions.probabilities, run.scores)]
    if run.prior_rates is not None:
        sources.append(("prior", prior_probabilities(predictions, run.prior_rates), run.prior))
    groups = [(group.name, columns) for group, columns in run.schema.slices()]
    for name, probabilities, stored in sources:
        vtf = vtf_scores(probabilities, predictions.labels, groups, THRESHOLDS["vtf"])
        videopar = videopar_scores(probabilities, predictions.labels, groups, THRESHOLDS["videopar"])
        for scores in (vtf, videopar):
            _check_equal(name, scores, stored[scores.protocol])


def _check_equal(name: str, found: ProtocolScores, stored: ProtocolScores) -> None:
    pairs = [("average", found.average, stored.average)]
    pairs += [(group, metrics, stored.groups[group]) for group, metrics in found.groups.items()]
    for group, metrics, expected in pairs:
        f1, said = metrics["f1"], expected.get("f1", -1.0)
        if abs(f1 - said) > _TOLERANCE:
            raise DataError(
                f"the {name}'s {found.protocol} F1 of {group} is {f1:.4f} here, but {said:.4f} in metrics.json: "
                f"the files are of different runs; {_MEND}"
            )


def prior_probabilities(predictions: RunPredictions, rates: tuple[float, ...]) -> Floats:
    """(N, A): the train rates for every tracklet."""
    return np.broadcast_to(np.array(rates), predictions.labels.shape)
