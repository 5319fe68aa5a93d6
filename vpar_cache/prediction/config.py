"""Settings of `vpar predict`, validated and immutable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vpar_cache.backbones.detection import DEFAULT_DETECTOR
from vpar_cache.base.checks import check_between, check_choice, check_new_file
from vpar_cache.errors import UserError
from vpar_cache.prediction.pictures import is_picture
from vpar_cache.prediction.table import SUFFIXES
from vpar_cache.prediction.video.source import TrackLimits
from vpar_cache.prediction.video.tracking import TRACKERS

CHANGING = ("pose", "motion")
"""Groups that change while a person is seen."""
STDOUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class PeopleConfig(TrackLimits):
    """How people of a video are found and followed."""

    detector: str | None = None
    """torchvision:NAME or motion. None: DEFAULT_DETECTOR, where a video has no box file."""
    detector_weights: Path | None = None
    tracker: str = "bytetrack"
    min_score: float = 0.5
    """Boxes of a detection model with a lower score are no people."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("--tracker", self.tracker, TRACKERS)
        check_between("--min-score", self.min_score, 0, 1)

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
        for path in self.boxes:
            if not path.is_file():
                raise UserError(f"--boxes: got {str(path)!r}, which is not a file; give the box file of a video")
        self._check_inputs_differ()
        self._check_detector()
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
            check_no_input(option, out, (*self.inputs, *self.boxes))
        if self.windows is not None:
            check_between("--windows", self.windows, 0.1, 1e6)

    def _check_inputs_differ(self) -> None:
        """A video may come twice with two box files."""
        seen = set[Path]()
        for path in () if self.boxes else self.inputs:
            target = path.resolve()
            if target in seen:
                raise UserError(f"INPUT: got {path} twice; expected each input once. Leave one out")
            seen.add(target)

    def _check_detector(self) -> None:
        people = self.people
        if self.boxes and (people.detector or people.detector_weights):
            option = "--detector" if people.detector else "--detector-weights"
            raise UserError(
                f"{option} cannot be combined with --boxes, which says where people are; leave one out"
            )
        if self.one_person and people.detector is not None:
            raise UserError("--one-person cannot be combined with --detector, which finds people; leave one out")

    def files(self) -> dict[str, Path]:
        """Return the files that are written, by option."""
        named = {
            "--out": self.out, "--sheet": self.sheet, "--annotate": self.annotate, "--html": self.html,
            "--keep-features": self.keep_features,
        }  # fmt: skip
        return {option: path for option, path in named.items() if path is not None and path != STDOUT}


def check_no_input(option: str, out: Path, inputs: Sequence[Path]) -> None:
    """Raise UserError where a file to write is one to read, or would be read as a picture the next time."""
    for path in inputs:
        if out.exists() and out.samefile(path):
            raise UserError(f"{option}: got {str(out)!r}, which is an input; choose another name")
        if is_picture(out) and path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise UserError(
                f"{option}: got {str(out)!r} in the input {path}, where it is taken for a picture of a person the "
                "next time; choose another folder"
            )
