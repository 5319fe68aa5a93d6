"""Settings of stage 2, validated and immutable, and the settings that a recipe fixes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vpar_cache.base.checks import LARGEST_SEED, check_at_least, check_choice, check_whole
from vpar_cache.errors import UserError
from vpar_cache.models.settings import LOSSES as MODEL_LOSSES
from vpar_cache.models.settings import (
    MAX_DIM,
    MAX_HEADS,
    MAX_LAYERS,
    MOST_PARAMETERS,
    PARTS,
    ModelSettings,
    block_parameters,
)
from vpar_cache.models.systems import CUSTOM, MODELS, SYSTEMS
from vpar_cache.runs.name import check_run_name
from vpar_cache.training.folds import read_folds
from vpar_cache.training.order import SHUFFLES

RECIPES = ("strict", "paper", "reference")
LOSSES = ("auto", *MODEL_LOSSES)
SCHEDULES = ("constant", "warmup-cosine")
TRAIN_PRECISIONS = ("auto", "fp32", "bf16")
REFERENCE: dict[str, Any] = {
    "loss": "weighted",
    "schedule": "warmup-cosine",
    "dim": 768,
    "heads": 12,
    "layers": 1,
    "logit_norm": True,
    "drop_path": 0.1,
    "norm_eps": 1e-6,
    "parts": None,
    "tune_text": False,
    "precision": "fp32",
}
"""What --recipe reference fixes: the choices of the authors' code that the paper does not mention."""
VIT_NORM_EPS = 1e-6
"""Epsilon of the LayerNorms of the block that block_init copies."""
MAX_EPOCHS = 100_000
_WITHOUT_OPTION = ("drop_path", "norm_eps")
"""Settings that only Python can change."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ModelSettings):
    """Settings of stage 2, those of the model among them (`ModelSettings`).

    Defaults are the paper's where it gives them: Adam, 1e-3, 1e-4, 20 epochs.
    """

    features: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    """The index of a feature cache, or those of several of one encoder, text and schema; then a tuple of paths."""
    same_people: bool = False
    """Several caches: a person id names the same person in all; otherwise they are different people."""
    runs: str | os.PathLike[str] = Path("cache/runs")
    """The folder for run folders."""
    name: str | None = None
    """Name of the run folder; None: dataset-model-seed-xxxxxx, six hex digits of the settings and the cache."""
    overwrite: bool = False
    """Replace a finished run of that name."""
    restart: bool = False
    """Start over where an interrupted run left a checkpoint; otherwise it is continued."""
    epochs: int = 20
    batch_size: int = 16
    """Tracklets per step."""
    lr: float = 1e-3
    """Adam's learning rate."""
    weight_decay: float = 1e-4
    """Adam's coupled (L2) weight decay."""
    schedule: str = "constant"
    """constant, or warmup-cosine: up from 0.01 lr over 5 epochs, then a cosine down towards 0.002 lr."""
    loss: str = "auto"
    """bce, weighted or ce, see models/objective.py; auto: the model's own (systems.SYSTEMS)."""
    block_init: str | None = None
    """Fusion models: copy the last block of an ImageNet ViT-B/16: imagenet (from the model hub), a file, or
    random:SEED."""
    views: int | None = None
    """How many of the stored views to use: each epoch draws one, or the plain features. None: all."""
    recipe: str = "strict"
    """strict: validation or held-out train people select epoch and thresholds; paper: all train people, last
    epoch, threshold 0.45; reference: paper, with the settings of REFERENCE."""
    val_fraction: float = 0.1
    """strict: share of train people to hold out, where neither the cache nor folds say who chooses."""
    folds: str | os.PathLike[str] | None = None
    """strict: a CSV file with the columns person_id or tracklet_id, and fold (an integer): the train tracklets of
    `fold` choose, those of the other folds train."""
    fold: int | None = None
    """strict: the fold that chooses."""
    folds_digest: str | None = None
    """blake3 of the file `folds`, which a run records in place of its path; None: computed. Another is refused."""
    precision: str = "auto"
    """Matrix products in training: bf16 (weights, sums of gradients and Adam stay fp32) or fp32. auto: bf16 where
    the processor or GPU computes it natively. Predictions are always computed in fp32."""
    shuffle: str = "exact"
    """exact: each epoch takes the rows of all shards in a random order; shards: a few shards at a time, see
    order.py, for a cache larger than memory on a slow disk."""
    seed: int = 0
    """Seed of initial weights, order of batches and held-out people."""
    device: str = "auto"
    """auto (the first GPU, else the CPU), cpu or cuda:N."""
    offline: bool = False
    """Never call a model hub (for block_init)."""

    def __post_init__(self) -> None:
        given = [self.features] if isinstance(self.features, str | os.PathLike) else self.features
        object.__setattr__(self, "features", tuple(map(Path, given)))
        object.__setattr__(self, "runs", Path(self.runs))
        if self.model != CUSTOM:
            check_choice("--model", self.model, MODELS)
        check_choice("--recipe", self.recipe, RECIPES)
        check_choice("--loss", self.loss, LOSSES)
        check_choice("--schedule", self.schedule, SCHEDULES)
        check_choice("--shuffle", self.shuffle, SHUFFLES)
        check_choice("--precision", self.precision, TRAIN_PRECISIONS)
        if self.parts is not None:
            check_choice("--parts", self.parts, PARTS)
        system = SYSTEMS.get(self.model)
        if system is not None and not system.is_trained and self.loss not in ("auto", system.loss):
            raise UserError(
                f"--loss: got {self.loss}; --model {self.model} is not trained, so it has no loss. Leave it out"
            )
        if self.loss == "auto":
            loss = "bce" if system is None else system.loss
            object.__setattr__(self, "loss", loss)  # the run records what was done
        if self.block_init is not None:
            object.__setattr__(self, "norm_eps", VIT_NORM_EPS)
        for option, value, low, high in (
            ("--epochs", self.epochs, 1, MAX_EPOCHS),
            ("--batch-size", self.batch_size, 1, 1_000_000),
            ("--dim", self.dim, 1, MAX_DIM),
            ("--layers", self.layers, 1, MAX_LAYERS),
            ("--heads", self.heads, 1, MAX_HEADS),
            ("--seed", self.seed, 0, LARGEST_SEED),
            ("--views", self.views or 0, 0, 10_000),
        ):
            check_whole(option, value, low, high)
        check_at_least("--weight-decay", self.weight_decay, 0)
        if not 0 < self.lr < math.inf:
            raise UserError(f"--lr: got {self.lr}; expected a positive number")
        if not 0 < self.val_fraction < 1:
            raise UserError(f"--val-fraction: got {self.val_fraction}; expected a number between 0 and 1")
        if not 0 <= self.drop_path < 1:
            raise UserError(f"drop_path: got {self.drop_path}; expected 0 or more, below 1")
        if not 0 < self.norm_eps < 1:
            raise UserError(f"norm_eps: got {self.norm_eps}; expected a number between 0 and 1")
        if self.name is not None:
            check_run_name(self.name)
        if self.same_people and len(self.caches) == 1:
            raise UserError("--same-people: got one cache; expected several with --features. Leave it out")
        self._check_fusion()
        self._check_reference()
        self._check_folds()

    def _check_fusion(self) -> None:
        fusion = [model for model in MODELS if SYSTEMS[model].has_fusion]
        for option, value in (
            ("--logit-norm", self.logit_norm),
            ("--block-init", self.block_init),
            ("drop_path", self.drop_path),
            ("--parts", self.parts),
            ("--tune-text", self.tune_text),
        ):
            if value and self.model not in fusion:
                raise UserError(
                    f"{option} applies to --model {', '.join(fusion)}, not to {self.model}; leave it out"
                )
        if self.dim % self.heads:
            raise UserError(f"--dim: got {self.dim}; expected a multiple of --heads {self.heads}")
        if (count := block_parameters(self.dim, self.layers)) > MOST_PARAMETERS:
            raise UserError(
                f"--dim {self.dim} with --layers {self.layers}: got about {count:,} parameters; expected "
                f"at most {MOST_PARAMETERS:,}. Lower one of them"
            )
        if self.logit_norm and self.batch_size < 2:
            raise UserError(
                f"--batch-size: got {self.batch_size}; expected 2 or more with --logit-norm, since one row has no "
                "batch statistics"
            )
        if self.block_init and (self.dim, self.heads) != (768, 12):
            raise UserError(
                f"--block-init: got width {self.dim} with {self.heads} heads; expected 768 with 12, as in the "
                "ViT. Use --dim 768 --heads 12"
            )

    def _check_reference(self) -> None:
        if self.recipe != "reference":
            return
        if self.model == CUSTOM or not SYSTEMS[self.model].has_fusion:
            raise UserError(
                f"--recipe reference is the authors' training of vtf, not of {self.model}; use --recipe paper"
            )
        for name, value in REFERENCE.items():
            if getattr(self, name) != value:
                option = name if name in _WITHOUT_OPTION else "--" + name.replace("_", "-")
                raise UserError(
                    f"{option}: got {getattr(self, name)}; expected {value} with --recipe reference. Leave it "
                    "out, or use --recipe paper"
                )

    def _check_folds(self) -> None:
        if (self.folds, self.fold, self.folds_digest) == (None, None, None):
            return
        if self.recipe != "strict":
            raise UserError(
                f"--folds: only --recipe strict chooses, not {self.recipe}; leave --folds and --fold out"
            )
        if self.folds is None:
            digest = f" (a file of digest {self.folds_digest[:12]})" if self.folds_digest else ""
            raise UserError(
                f"--folds: got none; expected the CSV file that --fold {self.fold} is of{digest}. Give it"
            )
        if self.fold is None:
            raise UserError("--fold: got none; expected the number of the fold that chooses. Give it with --folds")
        digest = read_folds(Path(self.folds)).digest
        if self.folds_digest not in (None, digest):
            raise UserError(
                f"--folds: got {self.folds} of digest {digest[:12]}; expected the file of the run, of digest "
                f"{str(self.folds_digest)[:12]}. Give that one"
            )
        object.__setattr__(self, "folds_digest", digest)

    @property
    def caches(self) -> tuple[Path, ...]:
        """Return the indexes of all caches."""
        caches: tuple[Path, ...] = self.features  # type: ignore[assignment]  # since __post_init__
        return caches

    @classmethod
    def of_recipe(cls, recipe: str, **given: Any) -> TrainConfig:
        """Return settings: what is given and not None, then REFERENCE with that recipe, then the defaults."""
        fixed = REFERENCE if recipe == "reference" else {}
        chosen = {name: value for name, value in given.items() if value is not None}
        return cls(recipe=recipe, **{**fixed, **chosen})

    def settings(self) -> dict[str, Any]:
        """Return the settings that decide the result: all but where it reads, writes and computes."""
        apart = {"features", "runs", "name", "overwrite", "restart", "device", "offline", "folds"}
        return {key: value for key, value in asdict(self).items() if key not in apart}
