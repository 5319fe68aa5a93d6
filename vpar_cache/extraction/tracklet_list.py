"""The tracklets of an extraction: loaded, counted, limited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

from vpar_cache.base.callbacks import Say, Stop, never
from vpar_cache.base.lock import patient_writer
from vpar_cache.datasets.frames_on_disk import check_link_folder, find_frames
from vpar_cache.datasets.loaders import load_dataset
from vpar_cache.datasets.tracklet import SPLITS, Dataset, build_dataset
from vpar_cache.errors import UserError, count_of
from vpar_cache.extraction.config import ExtractConfig


def list_tracklets(config: ExtractConfig, dataset: Dataset | None, say: Say, stop: Stop = never) -> Dataset:
    """Return the caller's dataset or the one that the settings name, within --limit, and say what it holds."""
    if (dataset is None) == (config.dataset is None):
        got = "none" if dataset is None else f"{config.dataset!r} and a Dataset"
        raise UserError(f"dataset: got {got}; expected a name in the settings or a Dataset of your own")
    if dataset is None:
        assert config.dataset is not None
        assert config.root is not None
        # The demo's tracklets are drawn when they are not there: once, not twice at the same time.
        with patient_writer(config.root, say, stop) if config.dataset == "demo" else nullcontext():
            dataset = load_dataset(
                config.dataset,
                config.root,
                config.labels,
                config.schema,
                config.seed,
                config.follow_links,
                config.test_labels,
                config.group,
            )
    else:  # checked and put in order, as every loader does
        given = dataset
        tracklets = given.tracklets
        if config.executor == "ray":
            tracklets = tuple(replace(t, folder=t.folder.absolute()) for t in tracklets)
        found, missing = find_frames(tracklets, check_link_folder(config.follow_links))
        left_out = (*given.left_out, *missing)
        dataset = build_dataset(given.name, given.schema, found, left_out, given.notes, given.people_known)
    say(f"{dataset.name}: {', '.join(_counts(dataset))}")
    for note in dataset.notes:
        say(note)
    return _limited(dataset, config.limit)


def _counts(dataset: Dataset) -> Iterator[str]:
    """Yield how many tracklets, and people where they are known, each split has."""
    for split in SPLITS:
        if count := dataset.count(split):
            num_people = dataset.num_people(split)
            people = (
                f" of {num_people} {'person' if num_people == 1 else 'people'}" if dataset.people_known else ""
            )
            yield f"{count_of(count, f'{split} {dataset.schema.unit}')}{people}"


def _limited(dataset: Dataset, limit: int | None) -> Dataset:
    """Return the dataset with `limit` tracklets spread evenly, so that both splits and many people stay in."""
    total = len(dataset.tracklets)
    if limit is None or limit >= total:
        return dataset
    chosen = tuple(dataset.tracklets[(2 * i + 1) * total // (2 * limit)] for i in range(limit))
    return replace(dataset, tracklets=chosen)
