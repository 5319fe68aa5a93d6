"""The run folder: all files of a finished run, published at once.

cache/runs/NAME/
    run.json             command, settings, fingerprints, seed, versions, device, random weights or not
    model.safetensors    weights; settings and output names in its metadata
    history.parquet      one row an epoch
    predictions.parquet  each tracklet: probabilities and labels (as `vpar score` reads), person, camera, ...
    metrics.json         scores by protocol and group, 95 % intervals, and the prior's scores on the same split
    card.md              the model card
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import save_file
from torch import Tensor

from vpar_cache.base.files import fsync_file, fsync_folder, partial_path, plain_failures, remove_leftovers
from vpar_cache.base.hashing import canonical_json
from vpar_cache.errors import CacheError
from vpar_cache.models.inputs import ModelInputs

MODEL_METADATA = "vpar"
"""The one metadata entry of model.safetensors."""
MODEL_PREFIX, INPUT_PREFIX = "model.", "inputs."
"""Of the names of its tensors: the model's own weights, and the tensors of ModelInputs."""
RUN_FILES = ("run.json", "model.safetensors", "history.parquet", "predictions.parquet", "metrics.json", "card.md")


def refuse_finished(folder: Path, overwrite: bool) -> None:
    """Raise CacheError if `folder` holds a run that may not be replaced, or something that is not a run."""
    if not folder.exists():
        return
    with plain_failures(folder):
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in RUN_FILES)
    if foreign:
        raise CacheError(
            f"{folder} holds {foreign[0]!r}, so it is not a run folder; choose another --name or --runs"
        )
    if not overwrite:
        raise CacheError(
            f"run {folder} is finished already (the same settings on the same features); see it with "
            f"`vpar report {folder}`, replace it with --overwrite, or choose another --name or --seed"
        )


@contextmanager
def new_run_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`, renamed to it when the block succeeds and removed otherwise.

    Leftovers of killed processes of the same run are removed as well.
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
    """Write JSON with indents. Raises ValueError for NaN."""
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")


def write_model(path: Path, state: Mapping[str, Tensor], inputs: ModelInputs, metadata: Mapping[str, Any]) -> None:
    """Write weights and inputs of a model as safetensors, so that runs/load.py needs nothing else.

    `metadata` becomes one JSON text: safetensors writes several entries in another order at every call.
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


def tensors_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def write_history(path: Path, epochs: Sequence[Mapping[str, Any]]) -> None:
    """Write one row an epoch: epoch, train_loss, validation_loss, validation_f1, seconds."""
    names = ("train_loss", "validation_loss", "validation_f1", "seconds")
    schema = pa.schema([("epoch", pa.int32()), *((name, pa.float64()) for name in names)])
    pq.write_table(pa.Table.from_pylist(list(epochs), schema=schema), path, write_page_checksum=True)
