"""Stage 2, `vpar train`: read a feature cache, write a run folder. No image is opened here.

Adam with coupled weight decay, learning rate 1e-3, weight decay 1e-4, 20 epochs (paper, Implementation
Details). Where the paper says nothing, the authors' code decides: batches of 16, and a binary cross-entropy
that is summed over outputs and averaged over tracklets.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from vpar_cache import __version__
from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.base.checks import check_choice
from vpar_cache.base.computing import fp32_without_tf32, out_of_memory
from vpar_cache.base.cores import limit_torch_threads
from vpar_cache.base.devices import explain_device, resolve_device, resolve_precision
from vpar_cache.base.lock import sole_writer
from vpar_cache.cache.features import Features
from vpar_cache.cache.index import read_index
from vpar_cache.cache.joined import JoinedFeatures, check_joinable, joined_dataset, joined_seal, open_joined
from vpar_cache.errors import UserError, counted
from vpar_cache.models.build import ModelBuilder, OwnModel
from vpar_cache.models.settings import LOSSES
from vpar_cache.models.systems import CUSTOM
from vpar_cache.runs.card import model_card
from vpar_cache.runs.folder import new_run_folder, refuse_finished, write_history, write_json, write_model
from vpar_cache.runs.name import default_run_name, run_fingerprint
from vpar_cache.runs.predictions import RunPredictions, write_predictions
from vpar_cache.training.checkpoints import CheckpointFile
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.evaluate_rows import (
    best_constant_f1,
    evaluate_validation,
    metrics_block,
    score_tests,
    verdicts,
)
from vpar_cache.training.features_for_model import groups_never_known
from vpar_cache.training.loop import Trainer
from vpar_cache.training.splits import Rows, choose_rows
from vpar_cache.training.watching import OnEpoch

_EXTRACTION = ("frames", "sampling", "seed", "views", "resize", "normalize", "precision")
"""The settings of the cache that run.json repeats."""
LESS_MEMORY = "use a smaller --batch-size, --dim or --layers, or a --device with more memory"
"""How to fix a training that runs out of memory."""


@dataclass(frozen=True)
class TrainResult:
    """Where the run is, and the contents of its metrics.json."""

    folder: Path
    dataset: str
    model: str
    random_weights: bool
    recipe: str
    metrics: Mapping[str, Any]
    verdict: str
    """How far it is above what sees no image, in one sentence; of several test sets, a line for each."""
    seconds: float


def train(
    config: TrainConfig,
    *,
    model: ModelBuilder | None = None,
    reads: str = "visual",
    loss: str = "bce",
    command: str = "",
    say: Say = log,
    stop: Stop = never,
    on_epoch: OnEpoch | None = None,
) -> TrainResult:
    """Train and evaluate one model, write its run folder, and return where it is.

    `model`: a function that builds your own torch module from ModelInputs, to train in place of `config.model`.
    Its forward(rows (B, *row_shape), text (A, Dt)) returns logits (B, A). `reads` names the array of the cache
    that it reads, `loss` is bce, weighted or ce. `load_run(folder, model=...)` loads such a run.
    `command`: recorded in run.json. `say` gets messages. `stop` is asked at every step. `on_epoch` gets an Epoch
    after each epoch of this call; an exception that it raises stops the run as `stop` does, and goes on to you.

    The test split is read once, after everything is selected. The same seed, machine and cache give the same
    metrics, bit for bit on a CPU. Raises UserError, DataError or CacheError; Stopped if `stop` says so. A
    stopped or interrupted run leaves no folder, but its last checkpoint (at most one in ten seconds), from which
    the same call continues.
    """
    config = resolved(config)
    own = None
    if model is not None:
        check_choice("loss", loss, LOSSES)
        config = replace(config, model=CUSTOM, loss=loss)
        module, name = getattr(model, "__module__", ""), getattr(model, "__qualname__", type(model).__qualname__)
        own = OwnModel(model, reads, f"{module}.{name}")
    elif config.model == CUSTOM:
        raise UserError(
            "--model: custom is your own model, which only Python can train: vpar_cache.train(config, model=...)"
        )
    elif (reads, loss) != ("visual", "bce"):
        raise UserError(
            "reads and loss apply to your own model=...; for a built-in model set the loss in TrainConfig"
        )
    return _train(config, own, command, say, stop, on_epoch)


def _train(
    config: TrainConfig, own: OwnModel | None, command: str, say: Say, stop: Stop, on_epoch: OnEpoch | None
) -> TrainResult:
    started = time.monotonic()
    features = _open(config)
    identity = _identity(config, own, features.seal)
    name = config.name or default_run_name(features.dataset, config.model, config.seed, identity)
    folder = Path(config.runs) / name
    with sole_writer(folder, say):
        refuse_finished(folder, config.overwrite, same_settings=config.name is None)
        checkpoints = CheckpointFile(folder.parent, name, identity)
        if config.restart:
            checkpoints.remove()
        begun = checkpoints.load()
        rows = choose_rows(features, config, say)
        for line in (explain_device(config.device), *warnings(config, features, rows)):
            say(line)
        limit_torch_threads()
        with out_of_memory(LESS_MEMORY), fp32_without_tf32():
            trainer = Trainer(config, features, rows, own, stop)
            if begun is not None:
                say(f"{name}: continuing after epoch {begun.epoch} of {config.epochs}; --restart starts over")
            history, epoch = trainer.fit(checkpoints, begun, on_epoch=on_epoch)
            threshold, thresholds = trainer.select_thresholds()
            probabilities = trainer.predict(rows.test)  # (n_test, A)
            validation = trainer.predict(rows.validation)  # (n_validation, A)
        tests = list(score_tests(features, rows.test, probabilities, threshold))
        judged = evaluate_validation(features, rows.train, rows.validation, validation, threshold)
        metrics = metrics_block(features, tests, judged)
        seconds = time.monotonic() - started
        record = {
            "name": name,
            "command": command,
            "recipe": rows.recipe,
            "selected_epoch": epoch,
            "selected_threshold": threshold,
            "thresholds": dict(zip((o.name for o in features.schema.outputs), thresholds.tolist(), strict=True)),
            "num_train": len(rows.train),
            "num_validation": len(rows.validation),
            "num_test": len(rows.test),
            "device": str(resolve_device(config.device)),
            "seconds": seconds,
            "epoch_seconds_per_tracklet": _seconds_per_tracklet(history, len(rows.train)),
            "encode_seconds_per_tracklet": features.encode_seconds,
            "reads": trainer.reads,
            "own_model": own.name if own else None,
            **_provenance(config, features),
        }
        with new_run_folder(folder, config.overwrite) as partial:
            _write_model(partial, config, features, trainer, thresholds)
            write_predictions(
                partial / "predictions.parquet",
                _predictions(features, rows, np.concatenate([validation, probabilities])),
            )
            write_history(partial / "history.parquet", history)
            write_json(partial / "metrics.json", metrics)
            write_json(partial / "run.json", record)
            (partial / "card.md").write_text(
                model_card(record, {test.dataset: test.found for test in tests}), "utf-8"
            )
        checkpoints.remove()
    return TrainResult(
        folder,
        features.dataset,
        config.model,
        features.random_weights,
        rows.recipe,
        metrics,
        verdicts(tests),
        seconds,
    )


def warnings(config: TrainConfig, features: JoinedFeatures, rows: Rows) -> Iterator[str]:
    """Yield what must be known before the training."""
    if features.same_people and features.shared_people:
        yield f"{counted(features.shared_people, 'person is', 'people are')} in train and in test of the caches"
    if features.random_weights:
        yield f"{features.where}: features of random weights ({features.weights}), whose scores have no meaning"
    if never := groups_never_known(features, rows.train):
        yield f"no train tracklet has a known label of {', '.join(never)}: what is predicted of it has no meaning"
    if len(rows.validation):
        constant = best_constant_f1(features, rows.train, rows.validation)
        yield f"on the {features.schema.unit}s that choose, the best constant has vtf F1 {100 * constant:.2f}"
    if config.recipe == "reference" and features.visual_config.get("normalize") != "half":
        yield (
            f"{features.where}: normalised with the backbone's own mean and deviation, the authors' code uses "
            "0.5; `vpar extract --preset reference` extracts features as theirs"
        )


def _provenance(config: TrainConfig, features: Features) -> dict[str, Any]:
    """Return what the run was made from and with, for run.json."""
    return {
        "vpar_cache": __version__,
        "dataset": features.dataset,
        "schema": features.schema.to_dict(),
        "model": config.model,
        "settings": config.settings(),
        "seed": config.seed,
        "features": [path.as_posix() for path in config.caches],
        "features_seal": features.seal,
        "visual_fingerprint": features.visual_fingerprint,
        "text_fingerprint": features.text_fingerprint,
        "backbone": features.visual_config.get("backbone"),
        "text_encoder": features.text_config.get("encoder"),
        "extraction": {key: features.visual_config.get(key) for key in _EXTRACTION},
        "weights": features.weights,
        "random_weights": features.random_weights,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }


def _write_model(
    folder: Path, config: TrainConfig, features: Features, trainer: Trainer, thresholds: NDArray[np.float64]
) -> None:
    metadata = {
        "model": config.model,
        "settings": config.settings(),
        "schema": features.schema.to_dict(),
        "random_weights": features.random_weights,
        "reads": trainer.reads,
        "thresholds": thresholds.tolist(),
        "encoder": {**features.visual_config, "weights": features.weights},
    }
    # Cloned, since safetensors refuses tensors that share memory.
    state = {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}
    write_model(folder / "model.safetensors", state, trainer.inputs, metadata)


def _predictions(features: JoinedFeatures, rows: Rows, probabilities: NDArray[np.float32]) -> RunPredictions:
    """Return the predictions of validation rows, then of test rows: (n_validation + n_test, A)."""
    kept = np.concatenate([rows.validation, rows.test])  # (n_validation + n_test,)
    return RunPredictions(
        tracklet_ids=[features.tracklet_ids[row] for row in kept],
        datasets=features.datasets_of(kept),
        splits=["validation"] * len(rows.validation) + ["test"] * len(rows.test),
        person_ids=features.own_person_ids[kept].astype(np.int64),
        camera_ids=features.camera_ids[kept].astype(np.int64),
        num_frames=features.num_frames[kept].astype(np.int64),
        quality=features.quality[kept].astype(bool),
        probabilities=probabilities,
        labels=features.labels[kept].astype(bool),
        known=features.known[kept],
    )


def _open(config: TrainConfig) -> JoinedFeatures:
    with tqdm(unit="B", unit_scale=True, desc="verify", disable=None, leave=False) as bar:
        return open_joined(config.caches, config.same_people, bar.update)


def _seconds_per_tracklet(history: list[dict[str, Any]], num_train: int) -> float | None:
    """Return the median over epochs of training; None without any epoch."""
    return float(np.median([row["seconds"] for row in history])) / num_train if history else None


def _identity(config: TrainConfig, own: OwnModel | None, seal: str) -> str:
    """Return the fingerprint of the run."""
    more = {"own_model": own.name, "reads": own.reads} if own else {}
    return run_fingerprint({**config.settings(), **more}, seal)


def resolved(config: TrainConfig) -> TrainConfig:
    """Replace precision auto by what it resolves to on the device, so that settings say what was done."""
    return replace(config, precision=resolve_precision(config.precision, resolve_device(config.device)))


def planned_folder(config: TrainConfig) -> Path:
    """Return the folder of the run that `train(config)` writes, for a built-in model. No features are read."""
    indexes = [read_index(path) for path in config.caches]
    check_joinable(indexes, config.same_people)
    identity = _identity(resolved(config), None, joined_seal(indexes))
    name = config.name or default_run_name(joined_dataset(indexes), config.model, config.seed, identity)
    return Path(config.runs) / name
