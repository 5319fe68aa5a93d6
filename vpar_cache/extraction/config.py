"""Settings of stage 1, validated and immutable; presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vpar_cache.backbones.names import NORMALIZATIONS, TEXTS, resolve_text, split_backbone
from vpar_cache.base.checks import check_between, check_choice
from vpar_cache.base.devices import PRECISIONS
from vpar_cache.datasets.names import are_single_images, check_layout_options
from vpar_cache.errors import UserError

SAMPLINGS = ("uniform", "random")
RESIZES = ("pad", "stretch")
EXECUTORS = ("local", "ray")
MOST_FRAMES, MOST_VIEWS, MOST_DRAWN = 1_000, 100, 10_000
"""Limits of --frames, of --views, and of the frames that all draws of a tracklet take together."""
MOST = 2**63 - 1
PRESETS: dict[str, dict[str, Any]] = {
    "reference": {"frames": 6, "sampling": "random", "resize": "pad", "normalize": "half", "prompts": "words"},
}
"""reference: how the code of the paper's authors reads frames and words, at test too."""


def with_preset(preset: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the user gave, completed by a preset. UserError where one contradicts the other."""
    if preset is None:
        return dict(given)
    check_choice("--preset", preset, tuple(PRESETS))
    for name, value in PRESETS[preset].items():
        if name in given and given[name] != value:
            shown = "all" if given[name] is None else given[name]
            raise UserError(
                f"--{name} {shown} contradicts --preset {preset}, which sets it to {value}; leave out one of them"
            )
    return {**given, **PRESETS[preset]}


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """Settings of stage 1. Those that change features enter `visual_settings`."""

    out: Path
    """The index to write, NAME.h5; shards go to the folder NAME beside it."""
    dataset: str | None = None
    """The layout under `root`, see datasets/names.py. None: `extract` gets a Dataset of your own."""
    root: Path | None = None
    """The dataset's folder; default data/DATASET. The demo dataset is drawn into it when it is not there."""
    labels: Path | None = None
    """folder, images: the CSV of labels; default root/labels.csv, for images also root/train.csv."""
    test_labels: Path | None = None
    """images only: the CSV of the test images, where the one of `labels` has no column split."""
    group: str | None = None
    """market only. camera: the images of one identity in one camera are a tracklet. None: each image is one."""
    schema: str | None = None
    """folder, images: a built-in name, as in mars, or a TOML file of your own attributes. None: mars for folder,
    and for images each column of the label file.
    """
    follow_links: Path | None = None
    """Links to frames, and to folders of them, are followed into this folder. None: no frame may be a link."""
    devices: tuple[str, ...] = ("auto",)
    """auto (the first GPU, else the CPU), cpu, cuda:0, ...: one writer on each; they share the shards."""
    backbone: str = "open_clip:ViT-B-16-quickgelu"
    """open_clip:NAME, a ViT with a class token, or timm:NAME; a bare name is open_clip's, and gets its prefix."""
    weights: str | None = None
    """A hub tag, a local .safetensors or .pt file, or random:SEED. None: openai, or timm's default for NAME."""
    text: str = "auto"
    """clip: CLIP's text encoder; minilm: sentence embeddings; auto: clip where the backbone has it.
    none: no text embeddings, for systems that never read them; auto's choice where minilm is missing."""
    frames: int | None = 6
    """T: frames drawn from each tracklet. None: all of them, however many; their mean alone is stored. Datasets of
    single images: always 1.
    """
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
    normalize: str = "own"
    """own: the mean and deviation that the backbone was trained with; half: 0.5 and 0.5, the authors' choice."""
    prompts: str = "paper"
    """paper, words, or a TOML file."""
    precision: str = "auto"
    """Of the visual encoder. auto: bf16 where the processor or GPU computes it natively, else fp32."""
    batch_size: int | None = None
    """Frames per forward pass; None: 8 on a CPU, 512 on a GPU."""
    workers: int | None = None
    """Threads that decode images. None: the cores that this process may use, at most 5. With a GPU more than 5 are
    processes; None: one for each core but one.
    """
    shard_size: int | None = None
    """Tracklets per shard; None: about 52 MB a shard, 256 tracklets of 197 x 512 tokens."""
    limit: int | None = None
    """Use only this many tracklets, spread evenly over the dataset. None: all."""
    max_bad: int = 0
    """How many tracklets may be left out because their frames are missing or unreadable."""
    overwrite: bool = False
    """Replace features of other settings at `out`, and drop tracklets that are not in this run's list."""
    recheck: bool = False
    """Read the contents of sources and weights again instead of trusting their sizes and times."""
    executor: str = "local"
    """Where shards are computed. local: in this process; ray: on a Ray cluster."""
    ray_address: str | None = None
    """ray: auto, local or HOST:PORT of the cluster's head; None: RAY_ADDRESS, a cluster that runs here, or a new
    one on this machine.
    """
    workers_per_node: int | None = None
    """ray: workers on each machine, without GPUs. None: one on each GPU of the cluster."""
    task: tuple[int, int] | None = None
    """(I, N): compute only the shards whose number modulo N is I, and write no index: one task of an array."""
    offline: bool = False
    """Never call a model hub: weights come from a file, the hub's local cache, or a seed."""

    def __post_init__(self) -> None:
        for name in ("out", "root", "labels", "test_labels", "follow_links"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)))  # a str is accepted as well
        check_layout_options(self.dataset, self.labels, self.test_labels, self.group)
        if self.dataset is not None:
            object.__setattr__(self, "root", self.root or Path("data") / self.dataset)
        if are_single_images(self.dataset, self.group):
            object.__setattr__(self, "frames", 1)
        check_choice("--sampling", self.sampling, SAMPLINGS)
        check_choice("--resize", self.resize, RESIZES)
        check_choice("--normalize", self.normalize, NORMALIZATIONS)
        check_choice("--precision", self.precision, PRECISIONS)
        check_choice("--text", self.text, TEXTS)
        library, architecture = split_backbone(self.backbone)
        object.__setattr__(self, "backbone", f"{library}:{architecture}")  # one spelling, here and in records
        resolve_text(self.text, library)
        if self.out.suffix != ".h5":
            raise UserError(f"--out: got {str(self.out)!r}; expected a name that ends in .h5")
        if not self.devices:
            raise UserError("--device: got none; use --device cpu, or --gpu 0")
        for option, value, low, high in (
            ("--frames", self.frames, 1, MOST_FRAMES),
            ("--views", self.views, 0, MOST_VIEWS),
            ("--seed", self.seed, 0, MOST),
            ("--batch-size", self.batch_size, 1, 1_000_000),
            ("--workers", self.workers, 1, 1_000),
            ("--shard-size", self.shard_size, 1, MOST),
            ("--limit", self.limit, 2, MOST),
            ("--max-bad", self.max_bad, 0, MOST),
            ("--workers-per-node", self.workers_per_node, 1, 1_000),
        ):
            if value is not None:
                check_between(option, value, low, high)
        self._check_executor()
        if (self.frames or 1) * (1 + self.views) > MOST_DRAWN:
            drawn = f"--views {self.views} with --frames {self.frames or 'all'}"
            raise UserError(
                f"{drawn}: got {(self.frames or 1) * (1 + self.views)} drawn frames a tracklet; expected at most "
                f"{MOST_DRAWN}. Lower one of them"
            )
        if self.frames is None and self.sampling == "random":
            raise UserError(
                "--sampling random cannot be combined with --frames all, which takes every frame; leave one out"
            )
        if self.frames is None and self.keep_frames:
            raise UserError(
                "--keep-frames cannot be combined with --frames all: every tracklet must have the same number of "
                "frames. Use --frames N"
            )

    def _check_executor(self) -> None:
        check_choice("--executor", self.executor, EXECUTORS)
        if self.executor != "ray" and (self.ray_address is not None or self.workers_per_node is not None):
            option = "--ray-address" if self.ray_address is not None else "--workers-per-node"
            raise UserError(f"{option}: only --executor ray reads it; leave it out, or use --executor ray")
        if self.executor == "ray" and len(self.devices) > 1:
            raise UserError(
                f"--device: got {', '.join(self.devices)}; expected one name with --executor ray, which uses "
                "every GPU of the cluster. Leave it out, or use --device cpu with --workers-per-node"
            )
        if self.task is not None and not 0 <= self.task[0] < self.task[1]:
            raise UserError(
                f"--task: got {self.task[0]}/{self.task[1]}; expected I/N with I from 0 to N - 1, as in "
                "0/8. Fix the number"
            )
        if self.task is not None and self.overwrite:
            raise UserError(
                "--task cannot be combined with --overwrite, which needs the cache alone; run the command without "
                "--task, or choose another --out"
            )

    def with_absolute_paths(self) -> ExtractConfig:
        """Return the same settings for processes that have other working directories."""
        weights = Path(self.weights).absolute() if self.weights and Path(self.weights).is_file() else self.weights
        return replace(
            self,
            out=self.out.absolute(),
            root=self.root and self.root.absolute(),
            follow_links=self.follow_links and self.follow_links.absolute(),
            weights=None if weights is None else str(weights),
        )

    def for_a_worker(self) -> ExtractConfig:
        """Return the settings of a process that computes shards for this one, on one device of its machine."""
        on_cores = self.devices[0] == "cpu" or self.workers_per_node is not None
        return replace(
            self.with_absolute_paths(),
            devices=("cpu" if on_cores else "cuda:0",),  # a worker on a GPU sees no other
            executor="local",
            ray_address=None,
            workers_per_node=None,
            task=None,
        )

    def is_own(self, number: int) -> bool:
        """Return whether this process computes the shard of this number."""
        return self.task is None or number % self.task[1] == self.task[0]

    def visual_settings(self) -> dict[str, Any]:
        """Return the settings that change visual features. Paths, batch size, workers and devices do not."""
        return {
            "frames": "all" if self.frames is None else self.frames,
            **({} if self.group is None else {"group": self.group}),  # so that other caches keep their fingerprint
            "sampling": self.sampling,
            "short_tracklet": "repeat",
            "seed": self.seed if self.sampling == "random" or self.views else None,
            "views": self.views,
            "keep_frames": self.keep_frames,
            "resize": self.resize,
            "normalize": self.normalize,
            "stored_dtype": "float16",
        }
