"""Scores of the predictions of any program, under all four protocols: a Parquet or CSV file in, scores out.

Columns: `tracklet_id` (string or integer), `probabilities` (list of numbers in 0 to 1), `labels` (list of 0 and 1;
null, NaN and -1 mean unknown), both lists in the schema's order; optionally `split` (string) and `person_id`
(integer). A CSV file may have a column for each output in place of the lists, see csv_predictions.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.errors import DataError, count_of
from vpar_cache.metrics.evaluation import Baselines, baselines, evaluate
from vpar_cache.metrics.inputs import check_inputs
from vpar_cache.reporting.csv_predictions import read_csv_columns
from vpar_cache.reporting.evaluation_tables import EvaluationTables
from vpar_cache.runs.parquet_columns import label_matrix, matrix, read_columns, read_metadata, texts, tracklet_ids

ROUNDING = 1e-6
"""Sums and softmaxes in float32 give probabilities up to so much outside 0 to 1."""
COLUMNS = ("tracklet_id", "probabilities", "labels")
_NO_TRAIN_LABELS = (
    "no best constant and no prior: they are chosen on train labels, and none were given; give them with "
    "--train-labels FILE, or with --root DIR of the dataset"
)


def score(path: str | os.PathLike[str], schema: Schema, train: Baselines | None = None) -> EvaluationTables:
    """Return the scores of the predictions in a Parquet or CSV file; of several splits, of the test rows alone.

    `train`: what `read_train_labels` or metrics.evaluation.baselines returns; None: the best constant is left out,
    which the notes say. Raises DataError that names the file, the first bad tracklet, the rule and how to fix it.
    """
    path = Path(path)
    try:
        table, notes = _test_rows(_read(path, COLUMNS, ["split", "dataset", "person_id"], schema))
        _check_one_dataset(table)
        names = tracklet_ids(table)
        rule = _rule(schema)
        probabilities = _in_range(matrix(table, "probabilities", names, schema.num_outputs, rule))
        labels, known = label_matrix(table, names, schema.num_outputs, rule)
        groups = schema.named_slices()
        check_inputs(probabilities, labels, groups, one_class=True, names=names, known=known)
        people = _people(table)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    found = evaluate(probabilities, labels, groups, known=known, people=people, train=train, unit=schema.unit)
    title = f"{path.name}: {count_of(found.num_tracklets, schema.unit)}, schema {schema.name}"
    about = {"dataset": schema.name, "split": "", "system": path.name, "source": "predictions"}
    remarks = () if train is not None else (_NO_TRAIN_LABELS,)
    if mark := read_metadata(path).get("vpar.note"):
        remarks = (mark, *remarks)
    return EvaluationTables(title, about, found, remarks, tuple(notes))


def schema_of(path: Path) -> Schema | None:
    """Return the schema that a Parquet table of `vpar predict` holds; None for another file."""
    text = read_metadata(path).get("vpar.schema")
    if text is None:
        return None
    try:
        return Schema.from_dict(json.loads(text))
    except (ValueError, DataError) as error:
        raise DataError(f"{path}: the schema in it is damaged ({error}); give it with --schema") from error


def read_train_labels(path: str | os.PathLike[str], schema: Schema) -> Baselines:
    """Return what train labels give: a Parquet or CSV file of `tracklet_id` and `labels`, optionally `split`.

    Of several splits, the train rows alone. Raises DataError as `score`.
    """
    path = Path(path)
    try:
        table = _read(path, ("tracklet_id", "labels"), ["split"], schema)
        if "split" in table.column_names:
            split = texts(table, "split")
            if "train" not in split:
                raise DataError(f"split holds no train row, but {split[0]!r}; name it so, or leave the column out")
            table = table.filter(pa.array([name == "train" for name in split]))
        names = tracklet_ids(table)
        labels, known = label_matrix(table, names, schema.num_outputs, _rule(schema))
        zeros = np.zeros(labels.shape)  # (N, A)
        check_inputs(zeros, labels, schema.named_slices(), one_class=True, names=names, known=known)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return baselines(labels, schema.named_slices(), known=known)


def _rule(schema: Schema) -> str:
    outputs = f"schema {schema.name} has {schema.num_outputs} outputs"
    return f"{outputs}; write one for each, or give the schema with --schema"


def _people(table: Any) -> NDArray[np.int64] | None:
    """Return the column person_id (N,), None where the file has none."""
    if "person_id" not in table.column_names:
        return None
    column = table["person_id"]
    if not pa.types.is_integer(column.type) or column.null_count:
        raise DataError(
            f"column 'person_id' is {column.type} with {column.null_count} empty rows, but must be an integer in "
            "every row; number the people, or leave the column out"
        )
    return np.asarray(column.to_numpy(), np.int64)


def _read(path: Path, columns: Sequence[str], optional: Sequence[str], schema: Schema) -> Any:
    """Return the arrow table of these columns."""
    needs = f"give a Parquet or CSV file with the columns {', '.join(columns)}"
    if (path / "run.json").is_file():
        raise DataError(
            f"a run folder, whose scores `vpar report {path}` shows; to score its predictions again, give "
            f"{path / 'predictions.parquet'}"
        )
    if path.is_dir():
        raise DataError(f"a folder; {needs}")
    if not path.is_file():
        raise DataError(f"no such file; {needs}")
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return read_csv_columns(path, columns, optional, schema)
    return read_columns(path, columns, optional, f"{needs}; the name of a CSV file ends in .csv")


def _in_range(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, A) with what float32 rounded a little beyond 0 or 1 set to 0 or 1."""
    near = (probabilities >= -ROUNDING) & (probabilities <= 1 + ROUNDING)  # (N, A)
    return np.where(near, probabilities.clip(0, 1), probabilities)


def _check_one_dataset(table: Any) -> None:
    """Raise DataError for the predictions of a run on several caches, whose test sets are not one."""
    names = sorted(set(texts(table, "dataset"))) if "dataset" in table.column_names else []
    if len(names) > 1:
        raise DataError(
            f"dataset: got {', '.join(map(repr, names[:10]))}; expected one. Keep the rows of one; `vpar report` "
            "shows the scores of a run on each"
        )


def _test_rows(table: Any) -> tuple[Any, list[str]]:
    """Return the rows to score, and what to say about them."""
    if "split" not in table.column_names:
        return table, []
    split = texts(table, "split")
    counts = Counter(split)
    found = ", ".join(f"{count} {name}" for name, count in counts.items())
    if len(counts) == 1:
        return table, [f"all rows scored: {found}"]
    if "test" not in counts:
        raise DataError(f"split holds {found} rows, but of several splits only 'test' is scored; name it so")
    return table.filter(pa.array([name == "test" for name in split])), [f"only test rows scored, of {found}"]
