"""The training curve of a run, from its history.parquet."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vpar_cache.base.files import read_plain
from vpar_cache.errors import CacheError
from vpar_cache.metrics.scoring import THRESHOLDS
from vpar_cache.rendering.tables import PLAIN, Block, Chart, Column, Number, metric_table
from vpar_cache.runs.finished import FinishedRun

_COLUMNS = (
    Column("train loss", "train_loss"),
    Column("validation loss", "validation_loss"),
    Column("validation vtf F1", "validation_f1", "vtf"),
)
_MAX_BYTES, _MAX_EPOCHS = 16_000_000, 100_000


def history_numbers(run: FinishedRun, **about: Any) -> list[Number]:
    """Return losses and validation F1 of each epoch; none for a run without training.

    Raises CacheError for a history.parquet that cannot be read.
    """
    path = run.folder / "history.parquet"
    try:
        with pq.ParquetFile(pa.BufferReader(read_plain(path, _MAX_BYTES))) as file:
            if file.metadata.num_rows > _MAX_EPOCHS:
                raise CacheError(f"{path}: got {file.metadata.num_rows} epochs; expected at most {_MAX_EPOCHS}")
            rows = file.read(columns=[column.metric for column in _COLUMNS]).to_pylist()
    except FileNotFoundError:
        return []
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise CacheError(f"{path}: cannot be read as parquet ({reason}). Train the run again") from error
    best = run.validation.best_constant.get("vtf") if run.validation else None
    constant = None if best is None else 100 * best.average["f1"]
    numbers = []
    for epoch, row in enumerate(rows, 1):
        for column in _COLUMNS:
            value = row.get(column.metric)
            if isinstance(value, float) and math.isfinite(value):
                is_score = column.protocol == "vtf"
                fields: dict[str, Any] = {**about, "split": column.metric.partition("_")[0]}
                fields |= {"value": 100 * value} if is_score else {"value": value, "unit": PLAIN}
                fields |= {"group": "epoch", "item": str(epoch), "protocol": column.protocol}
                fields |= {"best_constant": constant, "threshold": THRESHOLDS["vtf"]} if is_score else {}
                numbers.append(Number(table="training", metric=column.metric, **fields))
    return numbers


def history_blocks(numbers: list[Number], title: str) -> list[Block]:
    """Return the table of all epochs, a chart of the losses, and one of the F1 if there are validation people."""
    found = {number.metric for number in numbers}
    columns = [column for column in _COLUMNS if column.metric in found]
    lines = {
        column.metric: (
            column.heading,
            tuple((float(one.item), one.value) for one in numbers if one.metric == column.metric),
        )
        for column in columns
    }
    blocks: list[Block] = [metric_table(f"{title}: training, each epoch", "Epoch", numbers, columns)]
    for ending, label in (("loss", "loss"), ("f1", "validation vtf F1, %")):
        drawn = [line for metric, line in lines.items() if metric.endswith(ending)]
        constant = [(float(n.item), n.best_constant) for n in numbers if n.metric.endswith(ending)]
        known = tuple((epoch, value) for epoch, value in constant if value is not None)
        if known:
            drawn.append(("best constant", known))
        if drawn:
            blocks.append(Chart(f"{title}: {label} by epoch", "epoch", label, tuple(drawn)))
    return blocks
