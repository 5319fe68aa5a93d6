"""Validated, immutable settings; canonical JSON; fingerprints."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vpar_cache.errors import UserError, nearest
from vpar_cache.files import hash_bytes

DATASETS = ("mars", "duke", "folder", "demo")
SAMPLINGS = ("uniform", "random")
RESIZES = ("pad", "stretch")
NORMALIZATIONS = ("clip", "half")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
MODELS = ("vtf", "linear", "prior")
PROTOCOLS = ("strict", "paper")
LOSSES = ("bce", "weighted")

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces, no NaN. What is hashed and stored in caches."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(settings: Mapping[str, Any]) -> str:
    """blake3 of the canonical JSON, 64 hex digits."""
    return hash_bytes(canonical_json(settings).encode())


def differing_fields(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """`name: theirs -> ours`, a line a field, for errors about another fingerprint."""
    names = sorted({*ours, *theirs})
    return [f"{n}: {theirs.get(n)!r} -> {ours.get(n)!r}" for n in names if ours.get(n) != theirs.get(n)]


def _choice(option: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise UserError(f"{option} {value!r} is unknown; {nearest(value, valid)}")


def _at_least(option: str, value: float, low: float) -> None:
    if not (math.isfinite(value) and value >= low):
        raise UserError(f"{option} is {value}, but must be a number of at least {low}")


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """Settings of stage 1. Those that change features enter `visual_settings`."""

    dataset: str
    """mars, duke, folder or demo: who knows the layout under `root`."""
    root: Path
    """The dataset's folder. The demo dataset is rendered into it when it is not there."""
    out: Path
    """The index to write, NAME.h5; shards go to the folder NAME beside it."""
    labels: Path | None = None
    """folder only: the CSV of labels; default root/labels.csv."""
    schema: str = "mars"
    """folder only: mars, duke or a TOML file of your own attributes."""
    devices: tuple[str, ...] = ("auto",)
    """auto (the first GPU, else the CPU), cpu, cuda:0, ...: one writer each; they share the shards."""
    backbone: str = "ViT-B-16-quickgelu"
    """An open_clip architecture whose visual tower is a ViT with a class token."""
    weights: str = "openai"
    """A hub tag, a local .safetensors or .pt file, or random:SEED."""
    frames: int = 6
    """T: frames drawn from each tracklet."""
    sampling: str = "uniform"
    """uniform: frame i of n is floor((i + 0.5) n / T); random: a seeded draw in time order."""
    seed: int = 0
    """Of random sampling and of views; uniform frames do not depend on it."""
    views: int = 0
    """K: augmented draws stored for each train tracklet."""
    keep_frames: bool = False
    """Store the tokens of every frame, not only their mean."""
    resize: str = "pad"
    """pad: black to a centred square, then resize; stretch: resize alone."""
    normalize: str = "clip"
    """clip: CLIP's own mean and deviation; half: 0.5 and 0.5, as the authors' code."""
    prompts: str = "paper"
    """paper, words, or a TOML file."""
    precision: str = "auto"
    """Of the visual encoder. auto: bf16 where the processor or GPU computes it natively, else fp32."""
    batch_size: int | None = None
    """Frames per forward pass; None: 48 on a CPU, 512 on a GPU."""
    workers: int | None = None
    """Threads that decode images; None: the number of cores."""
    shard_size: int | None = None
    """Tracklets per shard; None: about 52 MB a shard, 256 tracklets of 197 x 512 tokens."""
    limit: int | None = None
    """Use only this many tracklets, spread evenly over the dataset. None: all."""
    max_bad: int = 0
    """Tracklets that may be left out because their frames are missing or unreadable."""
    recheck: bool = False
    """Read the sources' contents again instead of trusting their sizes and times."""
    offline: bool = False
    """Never call a model hub: weights come from a file, the hub's local cache, or a seed."""

    def __post_init__(self) -> None:
        _choice("--dataset", self.dataset, DATASETS)
        _choice("--sampling", self.sampling, SAMPLINGS)
        _choice("--resize", self.resize, RESIZES)
        _choice("--normalize", self.normalize, NORMALIZATIONS)
        _choice("--precision", self.precision, PRECISIONS)
        if self.out.suffix != ".h5":
            raise UserError(f"--out {str(self.out)!r} must end in .h5: it is the index of the cache")
        if not self.devices:
            raise UserError("no device is given; use --device cpu, or --gpu 0")
        for option, value, low in (
            ("--frames", self.frames, 1),
            ("--views", self.views, 0),
            ("--seed", self.seed, 0),
            ("--batch-size", self.batch_size, 1),
            ("--workers", self.workers, 1),
            ("--shard-size", self.shard_size, 1),
            ("--limit", self.limit, 2),
            ("--max-bad", self.max_bad, 0),
        ):
            if value is not None:
                _at_least(option, value, low)
        if self.dataset != "folder" and self.labels is not None:
            raise UserError(f"--labels {str(self.labels)!r} goes with --dataset folder, not {self.dataset}")

    def visual_settings(self) -> dict[str, Any]:
        """The settings that change visual features. Paths, batch size, workers and devices do not."""
        return {
            "frames": self.frames,
            "sampling": self.sampling,
            "short_tracklet": "repeat",
            "seed": self.seed if self.sampling == "random" or self.views else None,
            "views": self.views,
            "keep_frames": self.keep_frames,
            "resize": self.resize,
            "normalize": self.normalize,
            "stored_dtype": "float16",
        }


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
        _choice("--model", self.model, MODELS)
        _choice("--protocol", self.protocol, PROTOCOLS)
        _choice("--loss", self.loss, LOSSES)
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
            _at_least(option, value, low)
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
