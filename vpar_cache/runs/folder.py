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
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import save
from torch import Tensor

from vpar_cache.base.files import new_folder, plain_failures
from vpar_cache.base.hashing import canonical_json
from vpar_cache.errors import CacheError
from vpar_cache.models.inputs import ModelInputs

MODEL_METADATA = "vpar"
"""The one metadata entry of model.safetensors."""
MODEL_PREFIX, INPUT_PREFIX = "model.", "inputs."
"""Of the names of its tensors: the model's own weights, and the tensors of ModelInputs."""
OF_THE_SYSTEM = re.compile(r"\.DS_Store|\._.*|\.nfs[0-9a-f]+|\.fuse_hidden.*|\.directory|Thumbs\.db|desktop\.ini")
"""Files that operating systems and network mounts leave in any folder."""
RUN_FILES = ("run.json", "model.safetensors", "history.parquet", "predictions.parquet", "metrics.json", "card.md")


def refuse_finished(folder: Path, overwrite: bool, same_settings: bool = False) -> None:
    """Raise CacheError if `folder` holds a run that may not be replaced, or something that is not a run.

    A run is known by its run.json. `same_settings`: the name of the folder says that its run has the same settings
    on the same cache.
    """
    with plain_failures(folder):
        if not folder.exists():
            return
        names = {path.name for path in folder.iterdir() if not OF_THE_SYSTEM.fullmatch(path.name)}
    foreign = sorted(names - set(RUN_FILES))
    reason = f"holds {foreign[0]!r}" if foreign else "" if "run.json" in names or not names else "has no run.json"
    if reason or folder.is_symlink():
        raise CacheError(
            f"{folder} {reason or 'is a link'}, so it is not a run folder; choose another --name or --runs"
        )
    if names and not overwrite:
        same = " (the same settings on the same features and labels)" if same_settings else ""
        raise CacheError(
            f"run {folder} is finished already{same}; see it with `vpar report {folder}`, replace it with "
            "--overwrite, or choose another --name or --seed"
        )


def new_run_folder(folder: Path, overwrite: bool = False) -> AbstractContextManager[Path]:
    """Return a context with a temporary folder, which becomes `folder` when its block succeeds, see new_folder.

    A run that is there is not replaced unless `overwrite`: CacheError, see `refuse_finished`.
    """
    return new_folder(folder, lambda: refuse_finished(folder, overwrite))


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
    data = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        {MODEL_METADATA: canonical_json({**metadata, "inputs": record})},
    )
    path.write_bytes(data)  # save_file would make it readable for its owner alone


def tensors_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def write_history(path: Path, epochs: Sequence[Mapping[str, Any]]) -> None:
    """Write one row an epoch: epoch, train_loss, validation_loss, validation_f1, seconds."""
    names = ("train_loss", "validation_loss", "validation_f1", "seconds")
    schema = pa.schema([("epoch", pa.int32()), *((name, pa.float64()) for name in names)])
    pq.write_table(pa.Table.from_pylist(list(epochs), schema=schema), path, write_page_checksum=True)
