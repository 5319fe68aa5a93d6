"""Scores on parts of the test tracklets: with and without a quality flag, by camera, by length.

A part is easier or harder for every predictor alike: more of its people may wear trousers. So the scores of the
prior on the same part stand beside those of the run, and their difference is what may be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.metrics.inputs import Bools, Floats
from vpar_cache.metrics.scoring import PROTOCOLS
from vpar_cache.rendering.tables import COUNT, POINTS, Number
from vpar_cache.runs.finished import FinishedRun
from vpar_cache.runs.predictions import RunPredictions, prior_probabilities

MIN_TRACKLETS = 10
"""A part with fewer has no score: one tracklet would move it by ten points."""
KINDS = {
    "quality": "parts with and without each of the dataset's quality flags",
    "camera": "parts by camera",
    "length": "quarters by length",
}


def slice_numbers(run: FinishedRun, predictions: RunPredictions, **about: Any) -> list[Number]:
    """Return the averages over groups of each part, those of one kind in table `slices_KIND`.

    Each table starts with all tracklets. `about` are the fields of Number that all share.
    """
    numbers: list[Number] = []
    everything = np.ones(len(predictions.tracklet_ids), bool)  # (N,)
    whole = list(_score(run, predictions, everything))
    for kind in KINDS:
        parts = [(name, list(_score(run, predictions, rows))) for name, rows in _parts(kind, run, predictions)]
        for name, fields in [("all", whole), *parts] if parts else []:
            n = int(fields[0]["value"])
            numbers += [
                Number(table=f"slices_{kind}", group="average", item=name, n=n, **about, **one) for one in fields
            ]
    return numbers


def _parts(kind: str, run: FinishedRun, predictions: RunPredictions) -> Iterator[tuple[str, Bools]]:
    """Yield name and rows (N,) of each part."""
    if kind == "quality":
        for flag, rows in zip(run.schema.quality, predictions.quality.T, strict=True):
            yield flag, rows
            yield f"no {flag}", ~rows
    elif kind == "camera":
        for camera in np.unique(predictions.camera_ids):
            yield f"camera {camera}", predictions.camera_ids == camera
    else:
        yield from length_parts(predictions.num_frames)


def length_parts(num_frames: NDArray[np.int64]) -> Iterator[tuple[str, Bools]]:
    """Yield quarters of the tracklets by length (N,), each a name and its rows (N,).

    Equal lengths stay together, so that there may be fewer than four.
    """
    quartiles = np.quantile(num_frames, [0.25, 0.5, 0.75], method="inverted_cdf")  # (3,)
    quarter = np.searchsorted(quartiles, num_frames)  # (N,): a quartile itself belongs to the quarter below it
    for number in np.unique(quarter):
        rows = quarter == number  # (N,)
        low, high = num_frames[rows].min(), num_frames[rows].max()
        yield f"{low} frames" if low == high else f"{low} to {high} frames", rows


def _score(run: FinishedRun, predictions: RunPredictions, rows: Bools) -> Iterator[dict[str, Any]]:
    """Yield the fields of each number of the tracklets `rows` (N,); the number of tracklets is first."""
    size = int(rows.sum())
    yield {"metric": "tracklets", "value": size, "unit": COUNT}
    yield {"metric": "people", "value": len(np.unique(predictions.person_ids[rows])), "unit": COUNT}
    if size < MIN_TRACKLETS:
        return
    groups = run.schema.named_slices()
    labels = predictions.labels[rows]  # (n, A)

    def average(probabilities: Floats, protocol: str) -> dict[str, float]:  # (N, A)
        return dict(PROTOCOLS[protocol].score(probabilities[rows], labels, groups).average)

    for protocol in PROTOCOLS:
        fixed = {"protocol": protocol, "threshold": PROTOCOLS[protocol].threshold}
        found = average(predictions.probabilities, protocol)
        for metric in ("f1", "mA"):
            if metric in found:
                yield {"metric": metric, "value": 100 * found[metric], **fixed}
        prior = average(prior_probabilities(predictions, run.prior_rates), protocol)
        difference = 100 * (found["f1"] - prior["f1"])
        yield {"metric": "f1_over_prior", "value": difference, "unit": POINTS, **fixed}
