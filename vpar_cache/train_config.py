"""Settings of stage 2, validated and immutable."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vpar_cache.config import check_at_least, check_choice
from vpar_cache.errors import UserError

MODELS = ("vtf", "linear", "prior")
PROTOCOLS = ("strict", "paper")
LOSSES = ("bce", "weighted")

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of stage 2. The paper's where it gives them: Adam, 1e-3, 1e-4, 20 epochs."""

    features: Path
    """The index of a feature cache."""
    runs: Path = Path("cache/runs")
    """Where run folders go."""
    name: str | None = None
    """The run's folder; None: dataset-model-seed-xxxxxx, six hex digits of the settings."""
    overwrite: bool = False
    """Replace a finished run of that name."""
    resume: bool = False
    """Go on from the last checkpoint of an interrupted run of these settings."""
    model: str = "vtf"
    """vtf (the paper), linear (without the fusion Transformer) or prior (train frequencies)."""
    epochs: int = 20
    batch_size: int = 16
    """Tracklets per step."""
    lr: float = 1e-3
    """Adam's learning rate."""
    weight_decay: float = 1e-4
    """Adam's coupled (L2) weight decay."""
    dim: int = 512
    """Width of the fusion Transformer."""
    layers: int = 1
    """Fusion blocks."""
    heads: int = 8
    """Attention heads a block."""
    loss: str = "bce"
    """bce, or weighted: exp(1 - r) for positives and exp(r) for negatives, r the train rate."""
    logit_norm: bool = False
    """BatchNorm over the logits, as the authors' code has."""
    views: int | None = None
    """Of the stored views, how many take part: each epoch draws one, or the plain features. None: all."""
    protocol: str = "strict"
    """strict: an identity-disjoint part of the train people chooses epoch and threshold;
    paper: all train people, last epoch, threshold 0.45."""
    val_fraction: float = 0.1
    """strict: the share of train people held out for the choice."""
    seed: int = 0
    device: str = "auto"
    """auto (the first GPU, else the CPU), cpu or cuda:N."""

    def __post_init__(self) -> None:
        check_choice("--model", self.model, MODELS)
        check_choice("--protocol", self.protocol, PROTOCOLS)
        check_choice("--loss", self.loss, LOSSES)
        for option, value, low in (
            ("--epochs", self.epochs, 1),
            ("--batch-size", self.batch_size, 1),
            ("--weight-decay", self.weight_decay, 0),
            ("--dim", self.dim, 1),
            ("--layers", self.layers, 1),
            ("--heads", self.heads, 1),
            ("--seed", self.seed, 0),
            ("--views", self.views or 0, 0),
        ):
            check_at_least(option, value, low)
        if not 0 < self.lr < math.inf:
            raise UserError(f"--lr is {self.lr}, but must be a positive number")
        if not 0 < self.val_fraction < 1:
            raise UserError(f"--val-fraction is {self.val_fraction}, but must lie between 0 and 1")
        if self.dim % self.heads:
            raise UserError(
                f"--dim {self.dim} is no multiple of --heads {self.heads}: each head takes dim / heads"
            )
        if self.logit_norm and self.batch_size < 2:
            raise UserError("--logit-norm needs --batch-size 2 or more: one row has no batch statistics")
        if self.name is not None and not _RUN_NAME.fullmatch(self.name):
            raise UserError(
                f"--name {self.name!r} must be letters, digits, dots, dashes or underscores (100 at most)"
            )

    def settings(self) -> dict[str, Any]:
        """What makes one run another run: all but where it reads, writes and computes."""
        apart = {"features", "runs", "name", "overwrite", "resume", "device"}
        return {key: value for key, value in asdict(self).items() if key not in apart}
