"""Stage 2, `vpar train`: a feature cache in, a run folder out. No image is opened here.

Adam with coupled weight decay, learning rate 1e-3, weight decay 1e-4, 20 epochs (paper, Implementation
Details). What the paper leaves open, the authors' code decides: batches of 16, and a binary cross-entropy
that is summed over outputs and averaged over tracklets.
"""

from __future__ import annotations

import copy
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from vpar_cache import __version__
from vpar_cache.config import TrainConfig, fingerprint
from vpar_cache.devices import resolve_device
from vpar_cache.errors import DataError
from vpar_cache.features import Features, open_features
from vpar_cache.metrics import VTF_THRESHOLD, best_threshold, score_block, vtf_scores
from vpar_cache.models.build import build_model
from vpar_cache.models.prior import Prior
from vpar_cache.runs import (
    new_run_folder,
    refuse_finished,
    write_history,
    write_json,
    write_model,
    write_predictions,
)
from vpar_cache.splits import Rows, choose_rows
from vpar_cache.timing import load_encode_seconds

Say = Callable[[str], None]

EVALUATION_BATCH = 64
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""What the strict protocol chooses from: 0.05 to 0.95."""


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


def train_model(config: TrainConfig, command: str = "", say: Say = lambda message: None) -> TrainResult:
    """Train and evaluate one model, write its run folder, return where it is.

    The test split is read once, after everything is chosen. Same seed, machine and cache: the same metrics,
    bit for bit on a CPU. Raises UserError, DataError or CacheError; an unfinished run leaves no folder.
    """
    started = time.monotonic()
    features = _open(config)
    folder = config.runs / (config.name or _default_name(config, features))
    refuse_finished(folder, config.overwrite)
    rows = choose_rows(features, config, say)
    if features.random_weights:
        say(f"{config.features} holds features of random weights ({features.weights}): no score has a meaning")
    trainer = _Trainer(config, features, rows)
    history, best = trainer.fit()
    selected_threshold = trainer.select_threshold()
    probabilities = trainer.predict(rows.test)  # (n_test, A)
    groups = [(group.name, columns) for group, columns in features.schema.slices()]
    prior = _prior_probabilities(features, len(rows.test))
    labels = features.labels[rows.test]
    metrics = {
        "split": "test",
        "num_tracklets": len(rows.test),
        "num_people": len(set(features.person_ids[rows.test].tolist())),
        "scores": score_block(probabilities, labels, groups, selected_threshold),
        "prior": score_block(prior, labels, groups, selected_threshold),
    }
    seconds = time.monotonic() - started
    record = {
        "name": folder.name,
        "command": command,
        "vpar_cache": __version__,
        "dataset": features.dataset,
        "schema": features.schema.to_dict(),
        "model": config.model,
        "settings": config.settings(),
        "features": config.features.name,
        "features_seal": features.seal,
        "visual_fingerprint": features.visual_fingerprint,
        "text_fingerprint": features.text_fingerprint,
        "backbone": features.visual_config.get("backbone"),
        "weights": features.weights,
        "random_weights": features.random_weights,
        "seed": config.seed,
        "protocol": rows.protocol,
        "selected_epoch": best,
        "selected_threshold": selected_threshold,
        "num_train": len(rows.train),
        "num_validation": len(rows.validation),
        "num_test": len(rows.test),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "device": str(resolve_device(config.device)),
        "seconds": seconds,
        "epoch_seconds_per_tracklet": trainer.seconds_per_tracklet(history),
        "encode_seconds_per_tracklet": load_encode_seconds(config.features),
    }
    with new_run_folder(folder) as partial:
        write_model(
            partial / "model.safetensors",
            trainer.model.state_dict(),
            {
                "model": config.model,
                "settings": config.settings(),
                "token_dim": features.visual.shape[2],
                "outputs": [output.name for output in features.schema.outputs],
                "schema": features.schema.to_dict(),
                "random_weights": features.random_weights,
            },
        )
        write_history(partial / "history.parquet", history)
        kept = np.concatenate([rows.validation, rows.test])
        write_predictions(
            partial / "predictions.parquet",
            [features.tracklet_ids[row] for row in kept],
            ["validation"] * len(rows.validation) + ["test"] * len(rows.test),
            np.concatenate([trainer.predict(rows.validation), probabilities]),
            features.labels[kept],
        )
        write_json(partial / "metrics.json", metrics)
        write_json(partial / "run.json", record)
    return TrainResult(
        folder, features.dataset, config.model, features.random_weights, rows.protocol, metrics, seconds
    )


def _open(config: TrainConfig) -> Features:
    with tqdm(unit="B", unit_scale=True, desc="verify", disable=None, leave=False) as bar:
        return open_features(config.features, bar.update)


def _default_name(config: TrainConfig, features: Features) -> str:
    digits = fingerprint({**config.settings(), "features": features.seal})[:6]
    return f"{features.dataset}-{config.model}-{config.seed}-{digits}"


def _prior_probabilities(features: Features, count: int) -> NDArray[np.float64]:
    """(count, A): the frequencies of all train labels, the same for every row."""
    rate = Prior(torch.from_numpy(features.labels[features.rows_of("train")])).rate  # (A,)
    return np.tile(rate.numpy(), (count, 1))


class _Trainer:
    """A model, its data and its optimiser."""

    def __init__(self, config: TrainConfig, features: Features, rows: Rows) -> None:
        self._config = config
        self._features = features
        self._rows = rows
        self._device = resolve_device(config.device)
        self._order = np.random.Generator(np.random.PCG64(config.seed))
        labels = torch.from_numpy(features.labels[rows.train])  # (n, A)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = build_model(config, features.visual.shape[2], labels).to(self._device)
        self._text = torch.from_numpy(features.text).to(self._device)  # (A, D)
        self._weights = _positive_negative_weights(config.loss, labels).to(self._device)  # (2, A)
        self._groups = [(group.name, columns) for group, columns in features.schema.slices()]

    def fit(self) -> tuple[list[dict[str, Any]], int | None]:
        """Train; leave the model at the chosen epoch. The history, and that epoch (None: nothing to train)."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if not parameters:
            return [], None
        optimizer = torch.optim.Adam(parameters, lr=self._config.lr, weight_decay=self._config.weight_decay)
        history: list[dict[str, Any]] = []
        best_f1, best_epoch, best_state = -1.0, self._config.epochs, None
        with tqdm(range(1, self._config.epochs + 1), unit="epoch", desc="train", disable=None) as bar:
            for epoch in bar:
                started = time.monotonic()
                loss = self._train_epoch(optimizer, epoch)
                seconds = time.monotonic() - started
                validation_loss, f1 = self._validate()
                history.append(
                    {
                        "epoch": epoch,
                        "train_loss": loss,
                        "validation_loss": validation_loss,
                        "validation_f1": f1,
                        "seconds": seconds,
                    }
                )
                bar.set_postfix({"loss": f"{loss:.3f}", "validation F1": "-" if f1 is None else f"{100 * f1:.2f}"})
                if f1 is not None and f1 > best_f1:
                    best_f1, best_epoch = f1, epoch
                    best_state = copy.deepcopy(self.model.state_dict())
        if best_state is not None:
            self.model.load_state_dict(best_state)
        return history, best_epoch

    def _train_epoch(self, optimizer: torch.optim.Optimizer, epoch: int) -> float:
        """One pass over the train rows in a new order; the mean loss per tracklet."""
        self.model.train()
        order = self._order.permutation(self._rows.train)
        size = self._config.batch_size
        if self._config.logit_norm and len(order) % size == 1:
            order = order[:-1]  # one row alone has no batch statistics; another order leaves out another row
        total = 0.0
        for start, batch in zip(range(0, len(order), size), self._batches(order, size), strict=True):
            labels = self._labels(order[start : start + size])  # (B, A)
            loss = self._loss(self.model(self._tokens(batch), self._text), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            value = loss.item()
            if not np.isfinite(value):
                raise DataError(
                    f"the loss became {value} in epoch {epoch}; use a smaller --lr than {self._config.lr}"
                )
            total += value * len(batch)
        return total / len(order)

    def _batches(self, rows: NDArray[np.int64], size: int) -> Any:
        return self._features.visual.batches(rows, size)

    def _tokens(self, batch: NDArray[np.float16]) -> Tensor:
        return torch.from_numpy(batch).to(self._device, torch.float32)  # (B, N, D)

    def _labels(self, rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self._features.labels[rows]).to(self._device, torch.float32)  # (B, A)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy (paper, Optimization), summed over outputs, averaged over tracklets."""
        weights = torch.where(labels > 0, self._weights[0], self._weights[1])  # (B, A)
        losses = F.binary_cross_entropy_with_logits(logits, labels, weights, reduction="none")  # (B, A)
        return losses.sum(dim=1).mean()

    @torch.inference_mode()
    def _logits(self, rows: NDArray[np.int64]) -> Tensor:
        """(n, A) on the CPU, in evaluation mode."""
        self.model.eval()
        parts = [
            self.model(self._tokens(batch), self._text).float().cpu()
            for batch in self._batches(rows, EVALUATION_BATCH)
        ]
        return torch.cat(parts) if parts else torch.empty((0, self._features.schema.num_outputs))

    def predict(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, A) probabilities."""
        return self._logits(rows).sigmoid().numpy()

    def _validate(self) -> tuple[float | None, float | None]:
        """Loss, and vtf F1 at the paper's threshold, on the validation people; None without any."""
        rows = self._rows.validation
        if not len(rows):
            return None, None
        logits = self._logits(rows)  # (n, A)
        loss = float(self._loss(logits.to(self._device), self._labels(rows)))
        scores = vtf_scores(logits.sigmoid().numpy(), self._features.labels[rows], self._groups, VTF_THRESHOLD)
        return loss, scores.average["f1"]

    def select_threshold(self) -> float | None:
        """The threshold of the highest vtf F1 on the validation people; None without any."""
        rows = self._rows.validation
        if not len(rows):
            return None
        return best_threshold(self.predict(rows), self._features.labels[rows], self._groups, THRESHOLDS)

    def seconds_per_tracklet(self, history: list[dict[str, Any]]) -> float | None:
        """Of one train epoch, the median over epochs."""
        if not history:
            return None
        return float(np.median([row["seconds"] for row in history])) / len(self._rows.train)


def _positive_negative_weights(loss: str, labels: Tensor) -> Tensor:
    """(2, A): the weight of a positive and of a negative element. weighted: exp(1 - r) and exp(r)."""
    rate = labels.float().mean(dim=0)  # (A,)
    if loss == "weighted":
        return torch.stack([torch.exp(1 - rate), torch.exp(rate)])
    return torch.ones((2, len(rate)))
