"""`vpar export`: a finished run as a folder in the layout of the model hub."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from vpar_cache import __version__
from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.base.escaping import escape_markdown
from vpar_cache.base.files import new_folder, plain_failures, read_plain
from vpar_cache.base.lock import sole_writer
from vpar_cache.errors import CacheError, UserError
from vpar_cache.metrics.scoring import PROTOCOLS
from vpar_cache.models.settings import ModelSettings
from vpar_cache.models.systems import CUSTOM
from vpar_cache.runs.finished import FinishedRun, read_runs
from vpar_cache.runs.folder import OF_THE_SYSTEM, write_json, write_model
from vpar_cache.runs.load import LoadedRun, load_run
from vpar_cache.sharing.card import hub_card
from vpar_cache.sharing.config import (
    CARD,
    CONFIG,
    FILES,
    LIBRARY,
    MODEL,
    ExportedConfig,
    describe,
)
from vpar_cache.sharing.load import file_sha256, load_exported

_MAX_BYTES = 16_000_000
"""Of a card, and of a config.json that is looked at."""
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What to export, and where to."""

    run: Path
    """A run folder."""
    to: Path
    """The folder to write."""
    onnx: bool = False
    """Also write both ONNX graphs."""
    weights: str | None = None
    """With `onnx`: a file or a tag with the weights of the run's encoder; None: those that the run names."""
    offline: bool = False
    license: str = "unknown"
    """Its identifier on the model hub, as mit or cc-by-nc-4.0."""
    overwrite: bool = False
    """Replace a folder that was exported before."""

    def __post_init__(self) -> None:
        if self.weights is not None and not self.onnx:
            raise UserError("--weights: only --onnx reads the weights of the encoder; leave --weights out")
        if not _LICENSE.fullmatch(self.license):
            raise UserError(
                f"--license: got {self.license!r}; expected an identifier of the model hub, as in mit, "
                "cc-by-nc-4.0, other or unknown"
            )


@dataclass(frozen=True)
class ExportResult:
    """What was written."""

    folder: Path
    sizes: Mapping[str, int]
    """Bytes by file name."""
    random_weights: bool


def export_run(config: ExportConfig, *, say: Say = log, stop: Stop = never) -> ExportResult:
    """Write a folder from which `vpar predict` and `load_run` give what the run gives, whole or not at all.

    Raises CacheError for a run that is not finished or damaged; UserError for a folder that may not be replaced,
    for a run of the caller's own model, for weights that are not the run's, and where ONNX gives other numbers.
    """
    if config.onnx:
        from vpar_cache.sharing.graphs import check_packages

        check_packages()
    folder = config.to.resolve()
    _refuse_place(config)
    tests = read_runs(config.run)
    run = tests[0]
    if run.model == CUSTOM:
        raise UserError(
            f"--run: {config.run} is a run of your own model, whose code is not in the run; expected a run of a "
            "built-in model"
        )
    loaded = load_run(config.run)
    _check_same(run, loaded)
    card = _card(run)
    with sole_writer(folder, say), new_folder(folder, lambda: _refuse_place(config)) as partial:
        _write_model(partial, loaded)
        (partial / CARD).write_text(hub_card(tests, card, config.license, config.onnx), "utf-8")
        if config.onnx:
            _write_graphs(partial, config, loaded, say, stop)
        _write_config(partial, run, loaded)
        load_exported(partial)  # it can be read again
        sizes = {path.name: path.stat().st_size for path in sorted(partial.iterdir())}
    return ExportResult(config.to, sizes, run.random_weights)


def _refuse_place(config: ExportConfig) -> None:
    """Raise where the folder may not be written: a link, a run, or something else than an earlier export."""
    to = config.to
    with plain_failures(to):
        if config.run.resolve() in (to.resolve(), *to.resolve().parents):
            raise UserError(f"--to: got {str(to)!r}, in the run folder {config.run}; choose another folder")
        if to.is_symlink() or (to.exists() and not to.is_dir()):
            kind = "a link" if to.is_symlink() else "a file"
            raise UserError(f"--to: got {str(to)!r}, which is {kind}; expected the name of a folder")
        names = sorted(path.name for path in to.iterdir()) if to.exists() else []
    names = [name for name in names if not OF_THE_SYSTEM.fullmatch(name)]
    if not names:
        return
    foreign = [name for name in names if name not in FILES or (to / name).is_dir()]
    if foreign or not _is_export(to):
        reason = f"holds {foreign[0]!r}" if foreign else f"has no {CONFIG} of `vpar export`"
        raise UserError(
            f"--to: got {str(to)!r}, which {reason}, so `vpar export` did not write it; choose another folder"
        )
    if not config.overwrite:
        raise UserError(
            f"--to: {str(to)!r} holds an exported run already; replace it with --overwrite, or choose another "
            "folder"
        )


def _is_export(folder: Path) -> bool:
    """Return whether a config.json names this program. Whether it is valid does not matter: it is replaced."""
    try:
        stored = json.loads(read_plain(folder / CONFIG, _MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(stored, dict) and stored.get("library_name") == LIBRARY


def _check_same(run: FinishedRun, loaded: LoadedRun) -> None:
    """Raise CacheError where run.json and the model are of different runs."""
    for what, found, expected in (
        ("model", loaded.settings["model"], run.model),
        ("schema", loaded.schema, run.schema),
        ("random_weights", loaded.random_weights, run.random_weights),
    ):
        if found != expected:
            raise CacheError(
                f"{run.folder}: {what} differs between run.json and {MODEL}: the files are of different runs; "
                "train the run again"
            )


def _card(run: FinishedRun) -> str:
    """Return card.md, without the folder of a file that --block-init named."""
    path = run.folder / "card.md"
    try:
        text = read_plain(path, _MAX_BYTES).decode("utf-8")
    except FileNotFoundError as error:
        raise CacheError(f"{path} is missing, and the folder needs it; train the run again") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CacheError(f"{path}: it cannot be read as text ({error}); train the run again") from error
    start = str(run.settings.get("block_init"))
    named, short = (escape_markdown(f"block_init {name}") for name in (start, Path(start).name))
    return text.replace(named, short)


def _write_model(folder: Path, loaded: LoadedRun) -> None:
    """Write weights, text embeddings and what the model is built from: of the settings only those it needs."""
    kept = {*(field.name for field in fields(ModelSettings)), "loss"}
    metadata = {
        "model": loaded.settings["model"],
        "settings": {name: value for name, value in loaded.settings.items() if name in kept},
        "schema": loaded.schema.to_dict(),
        "outputs": [output.name for output in loaded.schema.outputs],
        "random_weights": loaded.random_weights,
        "reads": loaded.reads,
        "thresholds": loaded.thresholds.tolist(),
        "encoder": loaded.encoder,
    }
    # Cloned, since safetensors refuses tensors that share memory.
    state = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    write_model(folder / MODEL, state, loaded.inputs, metadata)


def _write_graphs(folder: Path, config: ExportConfig, loaded: LoadedRun, say: Say, stop: Stop) -> None:
    from vpar_cache.sharing.graphs import TOLERANCE, write_graphs
    from vpar_cache.sharing.run_encoder import build_encoder

    encoder = build_encoder(
        loaded, weights=config.weights, device="cpu", precision="fp32", offline=config.offline, say=say
    )
    found = write_graphs(folder, loaded, encoder, describe(loaded, folder / MODEL), say, stop)
    say(
        f"onnxruntime and torch differ by at most {found.encoder:.1g} of the largest token in the encoder, and in "
        f"probabilities by {found.head:.1g} for the same tokens and {found.pictures:.1g} from drawn pictures"
    )
    if not found.pictures <= TOLERANCE:
        say(
            f"from pictures they differ by more than {TOLERANCE:g}: this model magnifies how tokens are rounded "
            "to float16 (docs/onnx.md)"
        )


def _write_config(folder: Path, run: FinishedRun, loaded: LoadedRun) -> None:
    own = describe(loaded, folder / MODEL)
    config = ExportedConfig(
        **vars(own),
        library_name="vpar-cache",
        format=1,
        name=run.name,
        title=run.title,
        datasets=run.trained_datasets,
        protocols={name: run.scores[name].threshold for name in PROTOCOLS},
        trained_with={**({"vpar-cache": run.vpar_cache} if run.vpar_cache else {}), **run.versions},
        exported_with={
            "vpar-cache": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        sha256={path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != CARD},
    )
    write_json(folder / CONFIG, config.to_json())
