"""Stage 2, `vpar train`: a feature cache in, a run folder out. No image is opened here.

Adam with coupled weight decay, learning rate 1e-3, weight decay 1e-4, 20 epochs (paper, Implementation
Details). What the paper leaves open, the authors' code decides: batches of 16, and a binary cross-entropy
that is summed over outputs and averaged over tracklets.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from vpar_cache import __version__
from vpar_cache.base.callbacks import Say, Stop, check_stop, log, never
from vpar_cache.base.devices import resolve_device, resolve_precision
from vpar_cache.cache.features import Features, open_features
from vpar_cache.cache.hints import load_encode_seconds
from vpar_cache.cache.index import read_index
from vpar_cache.metrics.intervals import interval_block
from vpar_cache.metrics.scoring import score_block
from vpar_cache.models.prior import Prior
from vpar_cache.runs.card import model_card
from vpar_cache.runs.folder import new_run_folder, refuse_finished, write_history, write_json, write_model
from vpar_cache.runs.name import default_run_name, run_fingerprint
from vpar_cache.runs.predictions import RunPredictions, write_predictions
from vpar_cache.training.checkpoints import CheckpointFile
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.splits import Rows, choose_rows
from vpar_cache.training.trainer import Trainer

_EXTRACTION = ("frames", "sampling", "seed", "views", "resize", "normalize", "precision")
"""Of the cache's settings, what a reader of the run asks for."""


@dataclass(frozen=True)
class TrainResult:
    """Where the run is, and its metrics.json."""

    folder: Path
    dataset: str
    model: str
    random_weights: bool
    protocol: str
    metrics: Mapping[str, Any]
    seconds: float


def train_model(config: TrainConfig, command: str = "", say: Say = log, stop: Stop = never) -> TrainResult:
    """Train and evaluate one model, write its run folder, return where it is.

    The test split is read once, after everything is chosen. Same seed, machine and cache: the same metrics,
    bit for bit on a CPU. Raises UserError, DataError or CacheError; an interrupted run leaves no folder, but a
    checkpoint for --resume.
    """
    return _train(_with_precision(config), command, say, lambda: check_stop(stop))


def _train(config: TrainConfig, command: str, say: Say, check: Callable[[], None]) -> TrainResult:
    started = time.monotonic()
    features = _open(config)
    identity = run_fingerprint(config.settings(), features.seal)
    folder = config.runs / (config.name or default_run_name(features.dataset, config.model, config.seed, identity))
    refuse_finished(folder, config.overwrite)
    rows = choose_rows(features, config, say)
    if features.random_weights:
        say(f"{config.features} holds features of random weights ({features.weights}): no score has a meaning")
    if config.protocol == "reference" and features.visual_config.get("normalize") != "half":
        say(
            f"{config.features} was normalised with the backbone's own mean and deviation, not with 0.5 as by the "
            "authors' code; `vpar extract --preset reference` makes features as theirs"
        )
    trainer = Trainer(config, features, rows, check)
    checkpoints = CheckpointFile(config.runs, folder.name, identity)
    if not config.resume:
        checkpoints.remove()
    elif not checkpoints.path.exists():
        say(f"there is no {checkpoints.path} to resume from: starting anew")
    history, epoch = trainer.fit(checkpoints, config.resume)
    threshold = trainer.select_threshold()
    probabilities = trainer.predict(rows.test)  # (n_test, A)
    metrics = _score(features, rows, probabilities, threshold)
    seconds = time.monotonic() - started
    record = {
        "name": folder.name,
        "command": command,
        "protocol": rows.protocol,
        "selected_epoch": epoch,
        "selected_threshold": threshold,
        "num_train": len(rows.train),
        "num_validation": len(rows.validation),
        "num_test": len(rows.test),
        "device": str(resolve_device(config.device)),
        "seconds": seconds,
        "epoch_seconds_per_tracklet": trainer.seconds_per_tracklet(history),
        "encode_seconds_per_tracklet": load_encode_seconds(config.features),
        **_provenance(config, features),
    }
    with new_run_folder(folder) as partial:
        _write_model(partial, config, features, trainer)
        write_predictions(partial / "predictions.parquet", _predictions(features, rows, trainer, probabilities))
        write_history(partial / "history.parquet", history)
        write_json(partial / "metrics.json", metrics)
        write_json(partial / "run.json", record)
        (partial / "card.md").write_text(model_card(record, metrics), "utf-8")
    checkpoints.remove()
    return TrainResult(
        folder, features.dataset, config.model, features.random_weights, rows.protocol, metrics, seconds
    )


def _score(
    features: Features, rows: Rows, probabilities: NDArray[np.float32], threshold: float | None
) -> dict[str, Any]:
    """metrics.json: both protocols on the test rows, for the model and for the prior of all train labels."""
    groups = [(group.name, columns) for group, columns in features.schema.slices()]
    labels = features.labels[rows.test]
    prior = Prior(torch.from_numpy(features.labels[features.rows_of("train")]).double().mean(dim=0))
    constant = np.tile(prior.rate.numpy(), (len(rows.test), 1))  # (n_test, A)
    return {
        "split": "test",
        "num_tracklets": len(rows.test),
        "num_people": len(set(features.person_ids[rows.test].tolist())),
        "scores": score_block(probabilities, labels, groups, threshold),
        "intervals": interval_block(probabilities, labels, groups, features.person_ids[rows.test]),
        "prior_rates": prior.rate.tolist(),
        "prior": score_block(constant, labels, groups, threshold),
    }


def _provenance(config: TrainConfig, features: Features) -> dict[str, Any]:
    """What the run was made of and with."""
    return {
        "vpar_cache": __version__,
        "dataset": features.dataset,
        "schema": features.schema.to_dict(),
        "model": config.model,
        "settings": config.settings(),
        "seed": config.seed,
        "features": config.features.as_posix(),
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


def _write_model(folder: Path, config: TrainConfig, features: Features, trainer: Trainer) -> None:
    metadata = {
        "model": config.model,
        "settings": config.settings(),
        "schema": features.schema.to_dict(),
        "random_weights": features.random_weights,
    }
    write_model(folder / "model.safetensors", trainer.model.state_dict(), trainer.model_inputs, metadata)


def _predictions(features: Features, rows: Rows, trainer: Trainer, test: NDArray[np.float32]) -> RunPredictions:
    """Validation rows, then test rows with their probabilities (n_test, A)."""
    kept = np.concatenate([rows.validation, rows.test])
    return RunPredictions(
        tracklet_ids=[features.tracklet_ids[row] for row in kept],
        splits=["validation"] * len(rows.validation) + ["test"] * len(rows.test),
        person_ids=features.person_ids[kept].astype(np.int64),
        camera_ids=features.camera_ids[kept].astype(np.int64),
        num_frames=features.num_frames[kept].astype(np.int64),
        quality=features.quality[kept].astype(bool),
        probabilities=np.concatenate([trainer.predict(rows.validation), test]),
        labels=features.labels[kept].astype(bool),
    )


def _open(config: TrainConfig) -> Features:
    with tqdm(unit="B", unit_scale=True, desc="verify", disable=None, leave=False) as bar:
        return open_features(config.features, bar.update)


def _with_precision(config: TrainConfig) -> TrainConfig:
    """What `auto` comes to on this device: settings say what was done."""
    return replace(config, precision=resolve_precision(config.precision, resolve_device(config.device)))


def name_of(config: TrainConfig) -> str:
    """Return the default name of the run that `config` makes."""
    index = read_index(config.features)
    identity = run_fingerprint(_with_precision(config).settings(), index.seal)
    return default_run_name(index.dataset, config.model, config.seed, identity)
