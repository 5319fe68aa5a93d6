"""Whether the dataset is there and complete, by the loader that an extraction uses."""

from __future__ import annotations

from dataclasses import dataclass

from vpar_cache.datasets.frame_choice import draw_source
from vpar_cache.datasets.loading import PIECE_FRAMES, cut, load_piece
from vpar_cache.datasets.tracklet import Dataset, first_few
from vpar_cache.errors import VparError, count_of
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.tracklet_list import list_tracklets
from vpar_cache.runs.finished import PAPER_TEST_TRACKLETS, PAPER_TRAIN_TRACKLETS
from vpar_cache.workflows.doctor.check import Check, State

NUM_READ = 20
"""Tracklets, spread over the dataset, whose frames are decoded."""


@dataclass(frozen=True)
class DataFound:
    """What was found. `dataset` is None where the loader refuses it."""

    checks: tuple[Check, ...]
    dataset: Dataset | None = None


def check_data(config: ExtractConfig, image_size: int) -> DataFound:
    """Return what the loader says, how complete the dataset is, and whether frames can be decoded."""
    assert config.root is not None
    if config.dataset == "demo" and not config.root.exists():
        return DataFound(
            (Check("dataset", "ok", f"demo: not drawn yet; an extraction draws it into {config.root}"),)
        )
    said: list[str] = []
    try:
        dataset = list_tracklets(config, None, said.append)
    except VparError as error:
        return DataFound((Check("dataset", "fails", str(error)),))
    return DataFound(
        (_check_listed(config, dataset, "; ".join(said)), _check_frames(config, dataset, image_size)), dataset
    )


def _check_listed(config: ExtractConfig, dataset: Dataset, said: str) -> Check:
    if dataset.left_out:
        lost = first_few([f"{item.tracklet_id}: {item.reason}" for item in dataset.left_out])
        what = f"{said}; {count_of(len(dataset.left_out), dataset.schema.unit)} cannot be used ({lost})"
        if len(dataset.left_out) > config.max_bad:
            fix = f"fix them, or allow them with --max-bad {len(dataset.left_out)}"
            return Check("dataset", "fails", f"{what}, more than --max-bad {config.max_bad}: {fix}")
        return Check("dataset", "warning", f"{what}, which --max-bad {config.max_bad} allows")
    missing = parts_missing(dataset)
    if missing:
        return Check("dataset", "warning", f"{said}; {missing}: its scores cannot stand beside the paper's")
    return Check("dataset", "ok", said)


def parts_missing(dataset: Dataset) -> str:
    """Return in words what a dataset of the paper lacks; empty where it is whole, or not the paper's."""
    if dataset.name not in PAPER_TEST_TRACKLETS:
        return ""
    counts = dataset.count("train"), dataset.count("test")
    whole = PAPER_TRAIN_TRACKLETS[dataset.name], PAPER_TEST_TRACKLETS[dataset.name]
    if counts == whole:
        return ""
    name = dataset.name.upper()
    return f"it is not the whole of {name}, which has {whole[0]:,} train and {whole[1]:,} test tracklets"


def _check_frames(config: ExtractConfig, dataset: Dataset, image_size: int) -> Check:
    """Decode the frames of some tracklets as an extraction does."""
    total = len(dataset.tracklets)
    count = min(NUM_READ, total)
    chosen = [dataset.tracklets[(2 * i + 1) * total // (2 * count)] for i in range(count)]
    problems, num_frames = [], 0
    for tracklet in chosen:
        source = draw_source(tracklet, config.frames, config.sampling, 0, config.seed)
        piece = next(cut(source, PIECE_FRAMES))
        loaded = load_piece(piece, image_size, config.resize)
        num_frames += len(loaded.frames)
        if loaded.reason:
            problems.append(f"{tracklet.tracklet_id}: {loaded.reason}")
    spread = f"{count_of(count, dataset.schema.unit)} spread over {total}"
    if not problems:
        return Check("frames", "ok", f"{count_of(num_frames, 'frame')} of {spread} decoded")
    found = f"of {spread} {len(problems)} cannot be decoded ({first_few(problems)})"
    state: State = "fails" if len(problems) > config.max_bad else "warning"
    return Check("frames", state, f"{found}; copy these files again, or allow them with --max-bad")
