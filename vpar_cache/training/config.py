"""Settings of stage 2, validated and immutable; the protocols and what they fix."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vpar_cache.base.settings import check_at_least, check_choice
from vpar_cache.errors import UserError
from vpar_cache.models.settings import ModelSettings
from vpar_cache.models.systems import MODELS, SYSTEMS

PROTOCOLS = ("strict", "paper", "reference")
LOSSES = ("auto", "bce", "weighted", "ce")
SCHEDULES = ("constant", "warmup-cosine")
TRAIN_PRECISIONS = ("auto", "fp32", "bf16")
REFERENCE: dict[str, Any] = {
    "loss": "weighted",
    "schedule": "warmup-cosine",
    "dim": 768,
    "heads": 12,
    "layers": 1,
    "logit_norm": True,
    "precision": "fp32",
}
"""What --protocol reference fixes: the choices of the authors' code that the paper does not mention."""

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
    """One of systems.SYSTEMS: vtf is the paper's."""
    epochs: int = 20
    batch_size: int = 16
    """Tracklets per step."""
    lr: float = 1e-3
    """Adam's learning rate."""
    weight_decay: float = 1e-4
    """Adam's coupled (L2) weight decay."""
    schedule: str = "constant"
    """constant, or warmup-cosine: 5 epochs up from 0.01 lr, then a cosine down towards 0.002 lr."""
    dim: int = 512
    """Width of the model."""
    layers: int = 1
    """vtf, vtb: fusion blocks."""
    heads: int = 8
    """vtf, vtb: attention heads a block."""
    loss: str = "auto"
    """bce; weighted: bce with exp(1 - r) for positives and exp(r) for negatives, r the train rate; ce: one class
    of each group; auto: what suits the model (systems.SYSTEMS)."""
    logit_norm: bool = False
    """vtf, vtb: BatchNorm over the logits, as the authors' code has."""
    block_init: str | None = None
    """vtf, vtb: start the last block from that of an ImageNet ViT-B/16: imagenet (from the model hub), a file, or
    random:SEED."""
    views: int | None = None
    """Of the stored views, how many take part: each epoch draws one, or the plain features. None: all."""
    protocol: str = "strict"
    """strict: an identity-disjoint part of the train people chooses epoch and threshold;
    paper: all train people, last epoch, threshold 0.45; reference: as paper, with REFERENCE."""
    val_fraction: float = 0.1
    """strict: the share of train people held out for the choice."""
    precision: str = "auto"
    """Of the products of matrices in training: bf16 with weights, gradients' sums and Adam in fp32, or fp32.
    auto: bf16 where the processor or GPU computes it natively. The final predictions are always fp32's."""
    seed: int = 0
    device: str = "auto"
    """auto (the first GPU, else the CPU), cpu or cuda:N."""
    offline: bool = False
    """Never call a model hub (for block_init)."""

    def __post_init__(self) -> None:
        check_choice("--model", self.model, MODELS)
        check_choice("--protocol", self.protocol, PROTOCOLS)
        check_choice("--loss", self.loss, LOSSES)
        check_choice("--schedule", self.schedule, SCHEDULES)
        check_choice("--precision", self.precision, TRAIN_PRECISIONS)
        if self.loss == "auto":
            object.__setattr__(self, "loss", SYSTEMS[self.model].loss)  # settings say what was done
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
        if self.name is not None and not _RUN_NAME.fullmatch(self.name):
            raise UserError(
                f"--name {self.name!r} must be letters, digits, dots, dashes or underscores (100 at most)"
            )
        self._check_fusion()
        self._check_reference()

    def _check_fusion(self) -> None:
        fusion = [model for model in MODELS if SYSTEMS[model].has_fusion]
        for option, value in (("--logit-norm", self.logit_norm), ("--block-init", self.block_init)):
            if value and self.model not in fusion:
                raise UserError(
                    f"{option} goes with --model {' or '.join(fusion)}, not {self.model}; leave it out"
                )
        if self.dim % self.heads:
            raise UserError(
                f"--dim {self.dim} is no multiple of --heads {self.heads}: each head takes dim / heads"
            )
        if self.logit_norm and self.batch_size < 2:
            raise UserError("--logit-norm needs --batch-size 2 or more: one row has no batch statistics")
        if self.block_init and (self.dim, self.heads) != (768, 12):
            raise UserError(
                f"--block-init takes a block of width 768 with 12 heads, not {self.dim} with {self.heads}; "
                "use --dim 768 --heads 12"
            )

    def _check_reference(self) -> None:
        if self.protocol != "reference":
            return
        if not SYSTEMS[self.model].has_fusion:
            raise UserError(
                f"--protocol reference is the authors' training of vtf, not of {self.model}; use paper"
            )
        for name, value in REFERENCE.items():
            if getattr(self, name) != value:
                option = "--" + name.replace("_", "-")
                raise UserError(
                    f"{option} is {getattr(self, name)}, but --protocol reference fixes it at {value}; leave it "
                    "out, or use --protocol paper"
                )

    @classmethod
    def of_protocol(cls, protocol: str, **given: Any) -> TrainConfig:
        """What is not given, or None, is the protocol's: REFERENCE where it applies, else the defaults."""
        fixed = REFERENCE if protocol == "reference" else {}
        chosen = {name: value for name, value in given.items() if value is not None}
        return cls(protocol=protocol, **{**fixed, **chosen})

    def model_settings(self) -> ModelSettings:
        """Return what decides the shape of the model."""
        return ModelSettings(
            model=self.model, dim=self.dim, layers=self.layers, heads=self.heads, logit_norm=self.logit_norm
        )

    def settings(self) -> dict[str, Any]:
        """What makes one run another run: all but where it reads, writes and computes."""
        apart = {"features", "runs", "name", "overwrite", "resume", "device", "offline"}
        return {key: value for key, value in asdict(self).items() if key not in apart}
