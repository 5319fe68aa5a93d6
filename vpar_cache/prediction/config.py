"""Settings of `vpar predict`, validated and immutable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vpar_cache.backbones.detection import DEFAULT_DETECTOR
from vpar_cache.base.checks import check_between, check_choice, check_new_file
from vpar_cache.errors import UserError
from vpar_cache.prediction.table import SUFFIXES
from vpar_cache.prediction.video.tracking import TRACKERS

CHANGING = ("pose", "motion")
"""Groups that change while a person is seen."""
STDOUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class PeopleConfig:
    """How people of a video are found and followed."""

    detector: str | None = None
    """torchvision:NAME or motion. None: DEFAULT_DETECTOR, where a video has no box file."""
    detector_weights: Path | None = None
    tracker: str = "bytetrack"
    min_score: float = 0.5
    """Boxes of a detection model with a lower score are no people."""
    min_frames: int = 5
    """A track with fewer boxes is dropped."""
    min_height: float = 32
    """Boxes that are lower, in pixels, are dropped."""

    def __post_init__(self) -> None:
        check_choice("--tracker", self.tracker, TRACKERS)
        check_between("--min-score", self.min_score, 0, 1)
        check_between("--min-frames", self.min_frames, 1, 1_000_000)
        check_between("--min-height", self.min_height, 1, 100_000)

    @property
    def detector_name(self) -> str:
        return self.detector or DEFAULT_DETECTOR


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """What to predict from, and what to write."""

    inputs: tuple[Path, ...]
    """Pictures, folders, MOT sequence folders, videos."""
    boxes: tuple[Path, ...] = ()
    """A box file for each video, in their order; none: people are found."""
    one_person: bool = False
    """Each folder of pictures is one person."""
    people: PeopleConfig = field(default_factory=PeopleConfig)
    windows: float | None = None
    """Also answer for each part of a track that is so many seconds long."""
    changing: tuple[str, ...] = CHANGING
    """Groups whose segments are told, with `windows`."""
    hide: tuple[str, ...] = ()
    """Groups to leave out of everything."""
    out: Path | None = None
    """Table: .parquet, .csv or .jsonl; `-`: CSV on stdout."""
    sheet: Path | None = None
    annotate: Path | None = None
    html: Path | None = None
    keep_features: Path | None = None
    overwrite: bool = False
    """Replace files that are there."""
    device: str = "auto"
    offline: bool = False

    def __post_init__(self) -> None:
        if not self.inputs:
            raise UserError("INPUT is missing; give pictures, folders or videos")
        for path in self.inputs:
            if not path.exists():
                raise UserError(f"{path}: no such file or folder; give a picture, a folder or a video")
        if self.out is not None and self.out != STDOUT and self.out.suffix not in SUFFIXES:
            raise UserError(f"--out: got {str(self.out)!r}; expected a name ending in {', '.join(SUFFIXES)}, or -")
        for option, out, suffix in (
            ("--sheet", self.sheet, ".png"),
            ("--annotate", self.annotate, ".mp4"),
            ("--html", self.html, ".html"),
            ("--keep-features", self.keep_features, ".h5"),
        ):
            if out is not None and out.suffix.lower() != suffix:
                raise UserError(f"{option}: got {str(out)!r}; expected a name that ends in {suffix}")
        for option, out in self.files().items():
            check_new_file(option, out, self.overwrite)
        if self.windows is not None:
            check_between("--windows", self.windows, 0.1, 1e6)

    def files(self) -> dict[str, Path]:
        """Return the files that are written, by option."""
        named = {
            "--out": self.out, "--sheet": self.sheet, "--annotate": self.annotate, "--html": self.html,
            "--keep-features": self.keep_features,
        }  # fmt: skip
        return {option: path for option, path in named.items() if path is not None and path != STDOUT}
