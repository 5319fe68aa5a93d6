"""The names of the layouts, and which options each of them reads."""

from __future__ import annotations

from pathlib import Path

from vpar_cache.base.checks import check_choice
from vpar_cache.errors import UserError

DATASETS = ("mars", "duke", "market", "pa100k", "images", "folder", "demo")
IMAGE_DATASETS = ("market", "pa100k", "images")
"""Each image is a tracklet of one frame; with --group those of market are not."""
GROUPINGS = ("camera",)
"""Of --group: the images of one identity in one camera are a tracklet."""


def check_layout_options(
    dataset: str | None, labels: Path | None, test_labels: Path | None, group: str | None
) -> None:
    """Raise UserError for an unknown layout, and for an option that the layout does not read.

    `dataset` None: tracklets of the caller's own, which read none.
    """
    if dataset is not None:
        check_choice("--dataset", dataset, DATASETS)
    if group is not None and dataset == "market":
        check_choice("--group", group, GROUPINGS)
    for option, value, readers in (
        ("--labels", labels, ("folder", "images")),
        ("--test-labels", test_labels, ("images",)),
        ("--group", group, ("market",)),
    ):
        if value is not None and dataset not in readers:
            read = f"only --dataset {readers[0]} reads it"
            if len(readers) > 1:
                read = f"only --dataset {' and '.join(readers)} read it"
            raise UserError(f"{option}: got {str(value)!r}; {read}. Leave it out")


def are_single_images(dataset: str | None, group: str | None) -> bool:
    """Return whether each tracklet of the layout has one frame."""
    return dataset in IMAGE_DATASETS and group is None
