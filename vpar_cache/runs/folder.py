"""The run folder: everything that a finished run leaves behind, published at once.

cache/runs/NAME/
    run.json             command, settings, fingerprints, seed, versions, device, random weights or not
    model.safetensors    weights; settings and output names in its metadata
    history.parquet      one row an epoch
    predictions.parquet  probabilities and labels, what `vpar score` takes, and of whom, where, how long
    metrics.json         both protocols, every group, 95 % intervals, and the prior's scores on the same split
    card.md              the model card
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from vpar_cache.base.files import fsync_file, fsync_folder, partial_path, plain_failures, remove_leftovers
from vpar_cache.base.settings import canonical_json
from vpar_cache.errors import CacheError
from vpar_cache.models.inputs import ModelInputs

MODEL_METADATA = "vpar"
"""The metadata entry of model.safetensors that holds everything."""
MODEL_PREFIX, INPUT_PREFIX = "model.", "inputs."
"""Of the names of its tensors: the model's own weights, and the tensors of ModelInputs."""
RUN_FILES = ("run.json", "model.safetensors", "history.parquet", "predictions.parquet", "metrics.json", "card.md")


def refuse_finished(folder: Path, overwrite: bool) -> None:
    """CacheError when a run of that name is there and may not be replaced, or the folder is something else."""
    if not folder.exists():
        return
    with plain_failures(folder):
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in RUN_FILES)
    if foreign:
        raise CacheError(f"{folder} holds {foreign[0]!r}, so it is no run folder; choose another --name or --runs")
    if not overwrite:
        raise CacheError(
            f"run {folder} is finished already (the same settings on the same features); see it with "
            f"`vpar report {folder}`, replace it with --overwrite, or choose another --name or --seed"
        )


@contextmanager
def new_run_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, renamed to it when the block succeeds and removed otherwise.

    What killed processes left of the same run goes too.
    """
    partial = partial_path(folder)
    with plain_failures(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        partial.mkdir()
        try:
            yield partial
            for path in partial.iterdir():
                fsync_file(path)
            fsync_folder(partial)
            if folder.exists():
                shutil.rmtree(folder)
            partial.replace(folder)
            fsync_folder(folder.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Indented, for people to read; no NaN."""
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")


def write_model(path: Path, state: Mapping[str, Tensor], inputs: ModelInputs, metadata: Mapping[str, Any]) -> None:
    """Write weights and inputs of a model as safetensors, so that runs/load.py needs nothing else.

    `metadata` is one canonical JSON text: safetensors writes several entries in another order at every call.
    """
    tensors = {f"{MODEL_PREFIX}{name}": tensor for name, tensor in state.items()}
    for name in ("train_rates", "text", "negative"):
        tensors[f"{INPUT_PREFIX}{name}"] = getattr(inputs, name)
    record = {name: getattr(inputs, name) for name in ("row_shape", "grid", "prefix_tokens", "logit_scale")}
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        path,
        {MODEL_METADATA: canonical_json({**metadata, "inputs": record})},
    )


def write_history(path: Path, epochs: Sequence[Mapping[str, Any]]) -> None:
    """One row an epoch. Every row has the same keys."""
    pq.write_table(pa.Table.from_pylist(list(epochs), schema=_HISTORY), path, write_page_checksum=True)


_HISTORY = pa.schema(
    [
        ("epoch", pa.int32()),
        ("train_loss", pa.float64()),
        ("validation_loss", pa.float64()),
        ("validation_f1", pa.float64()),
        ("seconds", pa.float64()),
    ]
)


@dataclass(frozen=True, eq=False)
class Predictions:
    """n tracklets of a run, in the order of its cache."""

    tracklet_ids: Sequence[str]
    splits: Sequence[str]
    """validation or test"""
    person_ids: NDArray[np.int32]
    """(n,)"""
    camera_ids: NDArray[np.int32]
    """(n,)"""
    num_frames: NDArray[np.int32]
    """(n,)"""
    quality: NDArray[np.uint8]
    """(n, Q) the dataset's own flags"""
    probabilities: NDArray[np.float32]
    """(n, A)"""
    labels: NDArray[np.uint8]
    """(n, A)"""


def write_predictions(path: Path, predictions: Predictions) -> None:
    """One row a tracklet; lists in the schema's order of outputs and flags."""
    table = pa.table(
        {
            "tracklet_id": pa.array(predictions.tracklet_ids, pa.string()),
            "split": pa.array(predictions.splits, pa.string()),
            "person_id": pa.array(predictions.person_ids, pa.int32()),
            "camera_id": pa.array(predictions.camera_ids, pa.int32()),
            "num_frames": pa.array(predictions.num_frames, pa.int32()),
            "quality": _lists(predictions.quality, pa.uint8()),
            "probabilities": _lists(predictions.probabilities, pa.float32()),
            "labels": _lists(predictions.labels, pa.uint8()),
        }
    )
    pq.write_table(table, path, write_page_checksum=True)


def _lists(matrix: NDArray[Any], dtype: pa.DataType) -> pa.ListArray:
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.reshape(-1), dtype))
