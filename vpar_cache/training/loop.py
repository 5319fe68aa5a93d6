"""The loop of stage 2: a model, its rows and its optimiser."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vpar_cache.base.callbacks import Stop, check_stop, never
from vpar_cache.base.devices import resolve_device
from vpar_cache.cache.features import Features
from vpar_cache.errors import CacheError, DataError, UserError
from vpar_cache.metrics.scoring import best_threshold
from vpar_cache.metrics.thresholds import output_thresholds
from vpar_cache.metrics.vtf import VTF, VTF_THRESHOLD
from vpar_cache.models.build import OwnModel, build_model, build_own_model
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.models.objective import Objective
from vpar_cache.models.systems import SYSTEMS
from vpar_cache.training.checkpoints import Checkpoint, CheckpointFile, optimizer_tensors, restore_optimizer
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.device_rows import DeviceRows
from vpar_cache.training.features_for_model import model_inputs, num_views
from vpar_cache.training.graphed_step import GraphedStep, Step
from vpar_cache.training.order import epoch_windows
from vpar_cache.training.schedule import lr_factor
from vpar_cache.training.splits import Rows
from vpar_cache.training.watching import Epoch, OnEpoch, Watch

EVALUATION_BATCH = 64


class Trainer:
    """A model, its data and its optimiser."""

    def __init__(
        self,
        config: TrainConfig,
        features: Features,
        rows: Rows,
        own: OwnModel | None = None,
        stop: Stop = never,
    ) -> None:
        """`own`: the model to train in place of `config.model`. `stop`: asked at every step."""
        self._config = config
        self._features = features
        self._rows = rows
        self._stop = stop
        self._device = resolve_device(config.device)
        self._in_bf16 = config.precision == "bf16"
        self._in_graph = self._device.type == "cuda" and own is None  # the caller's model may not allow it
        self._order = np.random.Generator(np.random.PCG64(config.seed))
        self._groups = features.schema.named_slices()
        self.reads = own.reads if own else SYSTEMS[config.model].reads
        self.inputs = model_inputs(config.model, self.reads, features, rows.train)
        self.model = _new_model(config, self.inputs, own).to(self._device)
        self._objective = Objective(config.loss, self.inputs.groups, self.inputs.train_rates, self._device)
        self._has_batch_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.model.modules())
        self._epoch_number = 0
        self._check_batches(len(rows.train))
        self._text = self.inputs.text.to(self._device)  # (A, Dt)
        self._num_views = num_views(config.views, self.reads, features)
        array = features.with_views() if self._num_views else features.arrays[self.reads]
        self._data = DeviceRows(array, self._device)  # the views follow the plain rows, whose numbers stay
        self._all_train = features.rows_of("train")  # (n_train,)

    def fit(
        self,
        checkpoints: CheckpointFile | None = None,
        begun: Checkpoint | None = None,
        ends: Callable[[list[dict[str, Any]]], bool] = lambda history: False,
        on_epoch: OnEpoch | None = None,
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Train, and leave the model at the selected epoch. Return the history and that epoch.

        The epoch is None for a model without parameters to train. `begun`: the checkpoint to continue from.
        `ends`: asked after each epoch with the history; True ends the training there. `on_epoch`: called after
        each epoch, when its checkpoint is written.
        """
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if not parameters:
            return [], None
        config = self._config
        optimizer = torch.optim.Adam(
            parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True, capturable=self._in_graph
        )
        state = begun or Checkpoint(best_epoch=config.epochs)
        if state.epoch:
            self._restore(state, optimizer)
        with Watch(state.epoch, config.epochs, len(self._rows.train), on_epoch) as watch:
            for number in range(state.epoch + 1, config.epochs + 1):
                epoch = self._epoch(optimizer, number, watch)
                state.history.append(_history_row(epoch))
                f1 = epoch.validation_f1
                if f1 is not None and f1 > state.best_f1:
                    state.best_f1, state.best_epoch = f1, number
                    state.best = copy.deepcopy(self.model.state_dict())
                state.epoch = number
                state.model, state.optimizer = self.model.state_dict(), optimizer_tensors(optimizer)
                state.order = self._order.bit_generator.state
                if checkpoints is not None:
                    checkpoints.save_if_due(state)
                watch.ended(epoch)
                if ends(state.history):
                    break
        if state.best:
            self.model.load_state_dict(state.best)
        return state.history, state.best_epoch

    def _check_batches(self, num_train: int) -> None:
        """Raise an error where one row alone would meet a BatchNorm over rows."""
        if not any(isinstance(module, nn.BatchNorm1d) for module in self.model.modules()):
            return
        if num_train < 2:
            raise DataError(
                f"{self._features.where}: got {num_train} train tracklet; expected 2 or more for a model with "
                "BatchNorm. Train without --logit-norm, or on more tracklets"
            )
        if self._config.batch_size < 2:
            raise UserError("--batch-size: got 1; expected 2 or more for a model with BatchNorm")

    def _restore(self, state: Checkpoint, optimizer: torch.optim.Optimizer) -> None:
        try:
            self.model.load_state_dict(state.model)
            restore_optimizer(optimizer, state.optimizer)
            self._order.bit_generator.state = dict(state.order)
            self._epoch_number = state.epoch
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise CacheError(
                f"the checkpoint does not fit this run ({reason}); start over with --restart"
            ) from error

    def _epoch(self, optimizer: torch.optim.Optimizer, epoch: int, watch: Watch) -> Epoch:
        """Train and validate one epoch; return its numbers."""
        config = self._config
        self._epoch_number = epoch
        rate = config.lr * lr_factor(config.schedule, epoch, config.epochs)
        for group in optimizer.param_groups:
            group["lr"] = rate
        started = time.monotonic()
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(np.random.SeedSequence([config.seed, epoch]).generate_state(1)[0].item())
            loss = self._train_epoch(optimizer, watch)  # seeded for stochastic depth, and the caller's dropout
        seconds = time.monotonic() - started
        validation_loss, f1 = self._validate()
        return Epoch(epoch, config.epochs, loss, rate, validation_loss, f1, seconds)

    def _train_epoch(self, optimizer: torch.optim.Optimizer, watch: Watch) -> float:
        """Train on all train rows in a new order; return the mean loss per tracklet."""
        self.model.train()
        shard_rows = [shard.rows for shard in self._features.shards]
        windows = epoch_windows(self._rows.train, shard_rows, self._config.shuffle, self._order)  # each (w,)
        order = np.concatenate(windows)  # (n,)
        size = self._config.batch_size
        if self._has_batch_norm and len(order) % size == 1 < len(order):
            order = order[:-1]  # one row alone has no batch statistics; another epoch leaves out another row
        exact = torch.float32 if self._device.type == "mps" else torch.float64  # Apple's GPUs have no float64
        total = torch.zeros((), dtype=exact, device=self._device)  # ()
        step: Step = partial(self._step, optimizer)
        if self._in_graph:
            step = GraphedStep(step)  # one for each epoch: a graph keeps the learning rate of its capture
        ends = np.cumsum([len(window) for window in windows])[:-1]  # (windows - 1,)
        drawn = np.split(self._draw(order), ends)  # each (w,); the last one may be shorter by a row
        batches = self._data.windows(drawn, size)  # each (B, *row_shape)
        labels, known = (whole.split(size) for whole in self._labels(order))  # each (B, A)
        for batch, wanted, mask in zip(batches, labels, known, strict=True):
            check_stop(self._stop)
            loss = step(batch, wanted, mask)  # (), on the device: reading it would wait for each step
            total += loss * len(batch)
            watch.trained(len(batch))
        mean = float(total) / len(order)
        sums = torch.stack([p.detach().sum() for p in self.model.parameters()])  # (parameters,)
        if not np.isfinite(mean) or not sums.isfinite().all():
            raise self._diverged(f"train loss {mean:g}")
        return mean

    def _diverged(self, what: str) -> DataError:
        if not self._epoch_number:
            return DataError(
                f"{self._features.where}: the model's outputs are not finite without any training; check the "
                "cache with `vpar verify`"
            )
        return DataError(
            f"--lr: training with {self._config.lr:g} diverged in epoch {self._epoch_number} ({what}); use a "
            "smaller --lr"
        )

    def _step(self, optimizer: torch.optim.Optimizer, batch: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        """Update the weights by a batch (B, *row_shape), labels (B, A), known (B, A); return its loss ()."""
        loss = self._objective.loss(self._forward(batch, in_bf16=self._in_bf16), labels, known)  # ()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def _draw(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each train row its own number or that of one of its views, each as likely; see with_views."""
        if not self._num_views:
            return order
        drawn = self._order.integers(0, self._num_views + 1, size=len(order))  # (n,), 0: the plain features
        stored = self._features.num_views
        first_view = len(self._features.visual) + np.searchsorted(self._all_train, order) * stored  # (n,)
        return np.where(drawn == 0, order, first_view + drawn - 1)  # (n,)

    def _forward(self, batch: Tensor, *, in_bf16: bool) -> Tensor:
        """Return fp32 logits (B, A) of float16 rows (B, *row_shape); `in_bf16`: matrix products in bf16."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=in_bf16):
            logits: Tensor = self.model(
                batch.to(torch.bfloat16 if in_bf16 else torch.float32), self._text
            )  # (B, A)
        if logits.shape != (len(batch), self.inputs.num_outputs):
            raise UserError(
                f"model: its forward returned shape {tuple(logits.shape)}; expected (B, A) = "
                f"({len(batch)}, {self.inputs.num_outputs}), a logit for each row and output"
            )
        return logits.float()  # (B, A)

    def _labels(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return labels (n, A) of 0 and 1, and which of them are known (n, A)."""
        labels = torch.from_numpy(self._features.labels[rows]).to(self._device, torch.float32)  # (n, A)
        return labels, torch.from_numpy(self._features.known[rows]).to(self._device)  # (n, A), (n, A)

    @torch.inference_mode()
    def _logits(self, rows: NDArray[np.int64], *, in_bf16: bool = False) -> Tensor:
        """Return logits (n, A) on the CPU, with the model in evaluation mode."""
        self.model.eval()
        parts = []  # each (B, A)
        for batch in self._data.batches(rows, EVALUATION_BATCH):
            check_stop(self._stop)
            parts.append(self._forward(batch, in_bf16=in_bf16))
        logits = torch.cat(parts).cpu() if parts else torch.empty((0, self.inputs.num_outputs))  # (n, A)
        if not logits.isfinite().all():
            raise self._diverged("its outputs are not finite")
        return logits

    def predict(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return probabilities (n, A), computed in fp32 whatever the precision of training."""
        return self._objective.probabilities(self._logits(rows)).numpy()  # (n, A)

    def _validate(self) -> tuple[float | None, float | None]:
        """Return loss and vtf F1 at the paper's threshold on the validation rows; None without any."""
        rows = self._rows.validation
        if not len(rows):
            return None, None
        logits = self._logits(rows, in_bf16=self._in_bf16)  # (n, A)
        loss = float(self._objective.loss(logits.to(self._device), *self._labels(rows)))
        if not np.isfinite(loss):
            raise self._diverged(f"validation loss {loss:g}")
        probabilities = self._objective.probabilities(logits).numpy()  # (n, A)
        labels, known = self._features.labels[rows], self._features.known[rows]  # (n, A), (n, A)
        scores = VTF.score(probabilities, labels, self._groups, VTF_THRESHOLD, known=known)
        return loss, scores.average["f1"]

    def select_thresholds(self) -> tuple[float | None, NDArray[np.float64]]:
        """Return the threshold with the highest vtf F1 on the validation rows, and one for each output (A,).

        Without validation rows they are None, and the paper's threshold for each output.
        """
        rows = self._rows.validation
        if not len(rows):
            return None, np.full(self.inputs.num_outputs, VTF_THRESHOLD)
        labels, known = self._features.labels[rows], self._features.known[rows]  # (n, A), (n, A)
        probabilities = self.predict(rows)  # (n, A)
        common = best_threshold(probabilities, labels, self._groups, known=known)
        return common, output_thresholds(probabilities, labels, known, common)  # (A,)


def _history_row(epoch: Epoch) -> dict[str, Any]:
    """Return the row of history.parquet."""
    return {
        "epoch": epoch.epoch,
        "train_loss": epoch.loss,
        "validation_loss": epoch.validation_loss,
        "validation_f1": epoch.validation_f1,
        "seconds": epoch.seconds,
    }


def _new_model(config: TrainConfig, inputs: ModelInputs, own: OwnModel | None) -> nn.Module:
    """Build the model with initial weights that the seed alone decides."""
    block = None
    if config.block_init is not None:
        from vpar_cache.backbones.timm_model import last_block_state  # timm takes seconds to import

        block = last_block_state(config.block_init, config.offline)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build_own_model(own.build, inputs) if own else build_model(config, inputs, block)
