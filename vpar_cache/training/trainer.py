"""The loop of stage 2: a model, its rows, its optimiser, and the choice of an epoch."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from vpar_cache.base.devices import resolve_device
from vpar_cache.cache.features import Features
from vpar_cache.cache.format import VISUAL
from vpar_cache.errors import CacheError, DataError, UserError
from vpar_cache.metrics.scoring import best_threshold
from vpar_cache.metrics.vtf import VTF, VTF_THRESHOLD
from vpar_cache.models.build import build_model
from vpar_cache.models.objective import Objective
from vpar_cache.models.systems import SYSTEMS
from vpar_cache.training.checkpoints import Checkpoint, CheckpointFile, optimizer_tensors, restore_optimizer
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.device_rows import DeviceRows
from vpar_cache.training.inputs import model_inputs
from vpar_cache.training.schedule import lr_factor
from vpar_cache.training.splits import Rows

EVALUATION_BATCH = 64
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""What the strict protocol chooses from: 0.05 to 0.95."""


class Trainer:
    """A model, its data and its optimiser."""

    def __init__(
        self, config: TrainConfig, features: Features, rows: Rows, check: Callable[[], None] = lambda: None
    ) -> None:
        """`check` is called at every step; what it raises ends the training."""
        self._check = check
        self._config = config
        self._features = features
        self._rows = rows
        self._device = resolve_device(config.device)
        self._lower = config.precision == "bf16"
        self._order = np.random.Generator(np.random.PCG64(config.seed))
        labels = torch.from_numpy(features.labels[rows.train])  # (n, A)
        self._groups = [(group.name, columns) for group, columns in features.schema.slices()]
        self.model_inputs = inputs = model_inputs(config.model, features, labels)
        block = _imagenet_block(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = build_model(config.model_settings(), inputs, block).to(self._device)
        self.objective = Objective(config.loss, inputs.groups, labels, self._device)
        self._has_batch_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.model.modules())
        self._text = inputs.text.to(self._device)  # (A, Dt)
        self._num_views = _chosen_views(config, features)
        array = features.with_views() if self._num_views else features.arrays[SYSTEMS[config.model].reads]
        self._inputs = DeviceRows(array, self._device)  # views come after the plain rows, whose numbers stay
        self._all_train = features.rows_of("train")

    def fit(self, checkpoints: CheckpointFile, resume: bool) -> tuple[list[dict[str, Any]], int | None]:
        """Train; leave the model at the chosen epoch. The history, and that epoch (None: nothing to train).

        With `resume`, go on after the last checkpoint where there is one.
        """
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if not parameters:
            return [], None
        config = self._config
        optimizer = torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        state = (checkpoints.load() if resume else None) or Checkpoint(best_epoch=self._config.epochs)
        if state.epoch:
            self._restore(state, optimizer)
        epochs = range(state.epoch + 1, self._config.epochs + 1)
        with tqdm(
            epochs, unit="epoch", desc="train", disable=None, initial=state.epoch, total=self._config.epochs
        ) as bar:
            for epoch in bar:
                started = time.monotonic()
                _set_lr(optimizer, self._config, epoch)
                loss = self._train_epoch(optimizer, epoch)
                seconds = time.monotonic() - started
                validation_loss, f1 = self._validate()
                state.history.append(
                    {
                        "epoch": epoch,
                        "train_loss": loss,
                        "validation_loss": validation_loss,
                        "validation_f1": f1,
                        "seconds": seconds,
                    }
                )
                bar.set_postfix({"loss": f"{loss:.3f}", "validation F1": "-" if f1 is None else f"{100 * f1:.2f}"})
                if f1 is not None and f1 > state.best_f1:
                    state.best_f1, state.best_epoch = f1, epoch
                    state.best = copy.deepcopy(self.model.state_dict())
                state.epoch = epoch
                state.model, state.optimizer = self.model.state_dict(), optimizer_tensors(optimizer)
                state.order = self._order.bit_generator.state
                checkpoints.save_if_due(state)
        if state.best:
            self.model.load_state_dict(state.best)
        return state.history, state.best_epoch

    def _restore(self, state: Checkpoint, optimizer: torch.optim.Optimizer) -> None:
        try:
            self.model.load_state_dict(state.model)
            restore_optimizer(optimizer, state.optimizer)
            self._order.bit_generator.state = dict(state.order)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise CacheError(f"the checkpoint does not fit this run ({reason}); leave --resume out") from error

    def _train_epoch(self, optimizer: torch.optim.Optimizer, epoch: int) -> float:
        """One pass over the train rows in a new order; the mean loss per tracklet."""
        self.model.train()
        order = self._order.permutation(self._rows.train)
        size = self._config.batch_size
        if self._has_batch_norm and len(order) % size == 1:
            order = order[:-1]  # one row alone has no batch statistics; another order leaves out another row
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        batches = self._inputs.batches(self._draw(order), size)
        labels = self._labels(order).split(size)  # each (B, A)
        for batch, wanted in zip(batches, labels, strict=True):
            self._check()
            loss = self.objective.loss(self._forward(batch, lower=self._lower), wanted)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(batch)  # stays on the device: asking for it would wait for each step
        mean = float(total) / len(order)
        sums = torch.stack([p.detach().sum() for p in self.model.parameters()])  # after the last step, too
        if not np.isfinite(mean) or not sums.isfinite().all():
            raise DataError(
                f"training diverged in epoch {epoch} (loss {mean}); use a smaller --lr than {self._config.lr}"
            )
        return mean

    def _draw(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each train row the plain features or one of its K views, each as likely; see with_views."""
        if not self._num_views:
            return order
        drawn = self._order.integers(0, self._num_views + 1, size=len(order))  # (n,), 0: the plain features
        stored = self._features.num_views
        view_rows = len(self._features.visual) + np.searchsorted(self._all_train, order) * stored + drawn - 1
        return np.where(drawn == 0, order, view_rows)

    def _forward(self, batch: Tensor, *, lower: bool) -> Tensor:
        """float16 (B, *row_shape) -> (B, A) in fp32; `lower`: products of matrices in bf16."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=lower):
            logits: Tensor = self.model(batch.to(torch.bfloat16 if lower else torch.float32), self._text)
        return logits.float()

    def _labels(self, rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self._features.labels[rows]).to(self._device, torch.float32)  # (B, A)

    @torch.inference_mode()
    def _logits(self, rows: NDArray[np.int64], *, lower: bool = False) -> Tensor:
        """(n, A) on the CPU, in evaluation mode."""
        self.model.eval()
        parts = [self._forward(batch, lower=lower) for batch in self._inputs.batches(rows, EVALUATION_BATCH)]
        return torch.cat(parts).cpu() if parts else torch.empty((0, self._features.schema.num_outputs))

    def predict(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, A) probabilities, computed in fp32 however it was trained."""
        return self.objective.probabilities(self._logits(rows)).numpy()

    def _validate(self) -> tuple[float | None, float | None]:
        """Loss, and vtf F1 at the paper's threshold, on the validation people; None without any."""
        rows = self._rows.validation
        if not len(rows):
            return None, None
        logits = self._logits(rows, lower=self._lower)  # (n, A)
        loss = float(self.objective.loss(logits.to(self._device), self._labels(rows)))
        probabilities = self.objective.probabilities(logits).numpy()  # (n, A)
        scores = VTF.score(probabilities, self._features.labels[rows], self._groups, VTF_THRESHOLD)
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


def _set_lr(optimizer: torch.optim.Optimizer, config: TrainConfig, epoch: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = config.lr * lr_factor(config.schedule, epoch, config.epochs)


def _imagenet_block(config: TrainConfig) -> dict[str, Tensor] | None:
    if config.block_init is None:
        return None
    from vpar_cache.backbones.timm_model import last_block_state  # timm takes seconds to import

    state: dict[str, Tensor] = last_block_state(config.block_init, config.offline)
    return state


def _chosen_views(config: TrainConfig, features: Features) -> int:
    """How many of the stored views take part. UserError for more than there are."""
    if config.views is not None and config.views > features.num_views:
        raise UserError(
            f"--views is {config.views}, but {features.path} stores {features.num_views}; extract it with "
            f"--views {config.views} and another --out, or use fewer"
        )
    if SYSTEMS[config.model].reads != VISUAL:
        return 0  # views are of the mean tokens alone
    return features.num_views if config.views is None else config.views
