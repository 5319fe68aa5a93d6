"""Finds what is wrong with a dataset in any layout, before any encoding: it is loaded, and every frame decoded."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from vpar_cache.datasets.loaders import load_dataset
from vpar_cache.datasets.loading import read_frame
from vpar_cache.datasets.own.check import Checked, check_values, decode_frames, joined
from vpar_cache.datasets.tracklet import NEEDED_SPLITS
from vpar_cache.errors import DataError


def check_layout(
    name: str,
    root: Path,
    labels: Path | None = None,
    schema: str | None = None,
    follow_links: Path | None = None,
    test_labels: Path | None = None,
    group: str | None = None,
) -> Checked:
    """Return what is wrong with the dataset `name` under `root`; see load_dataset for the options.

    What the loader cannot go on from is the only finding then. Raises UserError for a wrong option or root.
    """
    try:
        dataset = load_dataset(name, root, labels, schema, 0, follow_links, test_labels, group)
    except DataError as error:
        return Checked((str(error),), 0, None, 0)
    findings = [f"{root}: {item.tracklet_id} ({item.split}): {item.reason}" for item in dataset.left_out]
    if name == "images":  # the values of published datasets are as they are
        for split in NEEDED_SPLITS:
            of_split = [tracklet for tracklet in dataset.tracklets if tracklet.split == split]
            findings += check_values(dataset.schema, of_split, split, f"{labels or root}, column")
    jobs = [
        (tracklet.folder / frame, partial(read_frame, tracklet, frame))
        for tracklet in dataset.tracklets
        for frame in tracklet.frames
    ]
    findings += decode_frames(jobs)
    people = len({tracklet.person_id for tracklet in dataset.tracklets}) if dataset.people_known else None
    return Checked(
        tuple(joined(findings)), len(dataset.tracklets), people, len(jobs), dataset.notes, dataset.schema.unit
    )
