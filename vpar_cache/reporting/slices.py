"""Scores on parts of the test tracklets: with and without a quality flag, by camera, by length.

A part is easier or harder for every predictor alike: more of its people may wear trousers. So the scores of the
prior on the same part stand beside those of the run, and their difference is what may be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpar_cache.metrics.inputs import Bools, Floats, Groups
from vpar_cache.metrics.scoring import THRESHOLDS
from vpar_cache.metrics.videopar import VIDEOPAR
from vpar_cache.metrics.vtf import VTF
from vpar_cache.runs.predictions import RunPredictions, prior_probabilities
from vpar_cache.runs.scores import RunScores

MIN_TRACKLETS = 10
"""A part with fewer has no score: one tracklet would move it by ten points."""


@dataclass(frozen=True)
class SliceScores:
    """Average vtf F1 and mA and videopar F1 of the run, and the F1 of the prior, on one part."""

    kind: str
    """quality, camera or length."""
    name: str
    num_tracklets: int
    num_people: int
    vtf_f1: float | None = None
    vtf_ma: float | None = None
    videopar_f1: float | None = None
    prior_vtf_f1: float | None = None
    prior_videopar_f1: float | None = None

    def over_prior(self, protocol: str) -> float | None:
        """F1 of the run less that of the prior."""
        run, prior = {
            "vtf": (self.vtf_f1, self.prior_vtf_f1),
            "videopar": (self.videopar_f1, self.prior_videopar_f1),
        }[protocol]
        return None if run is None or prior is None else run - prior


def slice_scores(run: RunScores, predictions: RunPredictions) -> list[SliceScores]:
    """All tracklets first, then each part in turn."""
    groups = [(group.name, columns) for group, columns in run.schema.slices()]
    prior = None if run.prior_rates is None else prior_probabilities(predictions, run.prior_rates)
    everything = np.ones(len(predictions.tracklet_ids), bool)
    parts = [("all", "all", everything), *_parts(run.schema.quality, predictions)]
    return [_score(kind, name, rows, predictions, prior, groups) for kind, name, rows in parts]


def _parts(flags: tuple[str, ...], predictions: RunPredictions) -> Iterator[tuple[str, str, Bools]]:
    """Kind, name and rows (N,) of each part."""
    for flag, rows in zip(flags, predictions.quality.T, strict=True):
        yield "quality", flag, rows
        yield "quality", f"no {flag}", ~rows
    for camera in np.unique(predictions.camera_ids):
        yield "camera", f"camera {camera}", predictions.camera_ids == camera
    yield from (("length", *part) for part in length_parts(predictions.num_frames))


def length_parts(num_frames: NDArray[np.int64]) -> Iterator[tuple[str, Bools]]:
    """Quarters of the tracklets by length. Equal lengths stay together, so that there may be fewer than four."""
    quartiles = np.quantile(num_frames, [0.25, 0.5, 0.75], method="inverted_cdf")
    quarter = np.searchsorted(quartiles, num_frames)  # (N,): a quartile itself belongs to the quarter below it
    for number in np.unique(quarter):
        rows = quarter == number
        low, high = num_frames[rows].min(), num_frames[rows].max()
        yield f"{low} frames" if low == high else f"{low} to {high} frames", rows


def _score(
    kind: str, name: str, rows: Bools, predictions: RunPredictions, prior: Floats | None, groups: Groups
) -> SliceScores:
    size, people = int(rows.sum()), len(np.unique(predictions.person_ids[rows]))
    if size < MIN_TRACKLETS:
        return SliceScores(kind, name, size, people)
    labels = predictions.labels[rows]

    def averages(probabilities: Floats) -> tuple[float, float, float]:
        vtf = VTF.score(probabilities[rows], labels, groups, THRESHOLDS["vtf"]).average
        videopar = VIDEOPAR.score(probabilities[rows], labels, groups, THRESHOLDS["videopar"]).average
        return vtf["f1"], vtf["mA"], videopar["f1"]

    vtf_f1, vtf_ma, videopar_f1 = averages(predictions.probabilities)
    prior_vtf, _, prior_videopar = (None, None, None) if prior is None else averages(prior)
    return SliceScores(kind, name, size, people, vtf_f1, vtf_ma, videopar_f1, prior_vtf, prior_videopar)
