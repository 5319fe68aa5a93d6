"""A trained run that predicts from pictures: its model, and the encoder that made its features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.backbones.encoder import EncodedBatch
from vpar_cache.base.callbacks import Say, log
from vpar_cache.base.checks import check_choice, check_whole
from vpar_cache.base.devices import PRECISIONS
from vpar_cache.cache.features import Features
from vpar_cache.errors import DataError
from vpar_cache.models.build import ModelBuilder
from vpar_cache.prediction.answers import Answering
from vpar_cache.prediction.encoding import DEFAULT_FRAMES, FrameEncoder
from vpar_cache.prediction.pictures import picture_tracks
from vpar_cache.prediction.rows import PersonRow
from vpar_cache.prediction.table import make_table
from vpar_cache.prediction.tracks import Crop, Track
from vpar_cache.runs.load import LoadedRun
from vpar_cache.sharing.find import open_run
from vpar_cache.sharing.run_encoder import build_encoder


@dataclass(frozen=True)
class EncoderOptions:
    """How to build the encoder of a run."""

    device: str = "auto"
    weights: str | None = None
    """A file or a tag with the weights of the run's encoder; None: those that the run names."""
    precision: str | None = None
    """None: that of the run."""
    batch_size: int | None = None
    """Frames per forward pass; None: what suits the device."""
    offline: bool = False

    def __post_init__(self) -> None:
        if self.precision is not None:
            check_choice("--precision", self.precision, PRECISIONS)
        if self.batch_size is not None:
            check_whole("--batch-size", self.batch_size, 1, 1_000_000)


class Predictor:
    """A trained run. The encoder is built when pictures are first given."""

    def __init__(
        self,
        run: LoadedRun,
        options: EncoderOptions | None = None,
        say: Say = log,
        frames: FrameEncoder | None = None,
    ) -> None:
        """`frames`: the encoder, where it is built already."""
        self.run, self._built = run, frames
        self._options, self._say = options or EncoderOptions(), say
        self.mark = "random weights: these answers have no meaning" if run.random_weights else ""
        """What must stand beside every answer; empty for a trained run on real weights."""

    def __repr__(self) -> str:
        groups = ", ".join(group.name for group in self.schema.groups)
        mark = f"\n{self.mark}" if self.mark else ""
        encoder = f"{self.run.encoder['backbone']}, weights {self.run.encoder['weights']}"
        model = self.run.settings["model"]
        return f"run of {model}: {encoder}, {self.num_frames} frames\ngroups: {groups}{mark}"

    @property
    def schema(self) -> Schema:
        """The attributes."""
        return self.run.schema

    @property
    def threshold(self) -> NDArray[np.float64]:
        """(A,): a probability above its output's is a yes. Chosen on validation people, or the paper's 0.45."""
        return self.run.thresholds

    @property
    def num_frames(self) -> int:
        """T: frames of a tracklet; of a video's track, where the run used all frames, DEFAULT_FRAMES."""
        frames = self.run.encoder["frames"]
        return DEFAULT_FRAMES if frames == "all" else int(frames)

    @property
    def frames(self) -> FrameEncoder:
        """The encoder. UserError where its weights are not those of the run."""
        if self._built is None:
            self._built = self._build()
        return self._built

    def _build(self) -> FrameEncoder:
        options = self._options
        encoder = build_encoder(
            self.run,
            weights=options.weights,
            device=options.device,
            precision=options.precision,
            offline=options.offline,
            say=self._say,
        )
        return FrameEncoder(encoder, self.run.encoder, self.run.reads, options.batch_size)

    def probabilities(self, encoded: Sequence[EncodedBatch]) -> NDArray[np.float32]:
        """Return (B, A) of B people, as `frames.encode` returns them."""
        return self.run.predict(self.frames.rows(encoded))  # (B, A)

    def predict(
        self,
        data: Features
        | NDArray[Any]
        | str
        | os.PathLike[str]
        | Sequence[str | os.PathLike[str]]
        | Sequence[NDArray[np.uint8]],
        *,
        one_person: bool = False,
        hide: Sequence[str] = (),
    ) -> pa.Table:
        """Return a table: a row a person, with a value and a probability for each group (docs/predict.md).

        `data`: paths of pictures and of folders with pictures, each picture a row (with `one_person` each folder);
        frames of one person, uint8 (T, H, W, 3) in RGB, or a list of (H, W, 3) of any sizes; an open cache, all
        its tracklets; or rows of features (B, *row_shape). `hide`: groups to leave out. Raises DataError for
        pictures that cannot be read.
        """
        answering = Answering(self.schema, self.threshold, hide)
        if isinstance(data, Features):
            rows = [_row(tracklet_id, self.num_frames) for tracklet_id in data.tracklet_ids]
            return self._table(answering, rows, self._of_features(data))
        if _are_frames(data):
            return self._of_tracks(answering, [Track("0", "", tuple(Crop(frame) for frame in data))])
        if isinstance(data, np.ndarray):
            rows = [_row(str(number), 0) for number in range(len(data))]
            return self._table(answering, rows, self.run.predict(data))
        paths = [data] if isinstance(data, str | os.PathLike) else cast(Sequence[str | os.PathLike[str]], data)
        settings = self.run.encoder
        tracks = [t for path in paths for t in picture_tracks(Path(path), settings, one_person, _refuse)]
        return self._of_tracks(answering, tracks)

    def _of_features(self, data: Features) -> NDArray[np.float32]:
        if self.run.reads not in data.arrays:
            raise DataError(
                f"{data.path}: has no array {self.run.reads}, which the run reads. Extract with --keep-frames"
            )
        step, rows = 256, data.arrays[self.run.reads]
        parts = [
            self.run.predict(rows.gather(list(range(start, min(start + step, len(data))))))
            for start in range(0, len(data), step)
        ]  # each (B, A)
        return np.concatenate(parts)  # (N, A)

    def _of_tracks(self, answering: Answering, tracks: Sequence[Track]) -> pa.Table:
        encoded = self.frames.encode([self.frames.prepare(track.crops, track.counts) for track in tracks])
        rows = [_row(track.tracklet_id, len(track.crops), track.source) for track in tracks]
        return self._table(answering, rows, self.probabilities(encoded))

    def _table(self, answering: Answering, rows: Sequence[PersonRow], found: NDArray[np.float32]) -> pa.Table:
        return make_table(answering, rows, found[:, answering.columns], self.mark)


def load_run(
    run: str | os.PathLike[str],
    model: ModelBuilder | None = None,
    *,
    device: str = "auto",
    weights: str | None = None,
    precision: str | None = None,
    offline: bool = False,
) -> Predictor:
    """Return a finished run, to predict with.

    `run`: a run folder, a folder of `vpar export`, or owner/name of one on the model hub (docs/export.md); what is
    on this machine comes first. `model`: the function that was given to `train(model=...)`, for a run of your own
    model. `device`, `weights`, `precision`: of the encoder, see EncoderOptions. `offline`: never ask the hub.
    Raises CacheError for a missing, damaged or changed file, UserError where `model` is missing or not needed.
    """
    options = EncoderOptions(device, weights, precision, offline=offline)
    return Predictor(open_run(run, model=model, offline=offline), options)


def _are_frames(data: Any) -> TypeGuard[Sequence[NDArray[np.uint8]]]:
    """Return whether the data is frames of one person: uint8 (T, H, W, 3), or a list of (H, W, 3)."""
    if not isinstance(data, np.ndarray | list | tuple) or not len(data):
        return False
    return all(
        isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
        for frame in data
    )


def _row(tracklet_id: str, frames: int, source: str = "") -> PersonRow:
    return PersonRow(tracklet_id, source, None, None, None, None, None, frames, (), ())


def _refuse(name: str, reason: str) -> None:
    raise DataError(f"{name}: {reason}")
