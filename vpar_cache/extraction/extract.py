"""Stage 1, `vpar extract`: tracklets in, a sealed feature cache out.

A list of shard tasks: each is kept when its published shard already stands for the same settings, weights
and source bytes, and computed otherwise. The index is written last. Killed at any moment, a run can be
started again with the same options and goes on. One process at a time writes a cache; others are refused.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.base.computing import fp32_without_tf32
from vpar_cache.base.devices import check_device_name, resolve_device
from vpar_cache.base.escaping import csv_cell
from vpar_cache.base.files import plain_failures, remove_leftovers, write_text
from vpar_cache.base.lock import sole_writer
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import ShardHeader
from vpar_cache.cache.hints import ENCODE_SECONDS, Hints
from vpar_cache.cache.writer import IndexContents, write_index
from vpar_cache.datasets.loaders import load_dataset
from vpar_cache.datasets.tracklet import NEEDED_SPLITS, SPLITS, Dataset, LeftOut, build_dataset
from vpar_cache.errors import DataError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import (
    EncoderIdentity,
    build_encoder,
    encoder_request,
    identity_of,
    recall,
    remember,
)
from vpar_cache.extraction.executors.local import LocalExecutor
from vpar_cache.extraction.plan import Plan, make_plan
from vpar_cache.extraction.published_shards import SHOWN_LEFT_OUT, PublishedShards
from vpar_cache.extraction.text_fields import TextFields

if TYPE_CHECKING:
    from vpar_cache.backbones.encoder import Encoder


MOST_THREADS = 5
"""That decode, by default: beyond these, Python's lock makes more threads slower (benchmarks/RESULTS.md)."""


@dataclass(frozen=True)
class ExtractResult:
    """What an extraction wrote, and from what."""

    index: Path
    dataset: str
    num_train: int
    num_validation: int
    num_test: int
    shards_kept: int
    shards_computed: int
    skipped: tuple[LeftOut, ...]
    precision: str
    random_weights: bool
    seconds: float


def extract(
    config: ExtractConfig, *, dataset: Dataset | None = None, say: Say = log, stop: Stop = never
) -> ExtractResult:
    """Write or complete the cache at `config.out` and return what it holds.

    `dataset`: your own tracklets, in place of `config.dataset` and `config.root`. Raises UserError, DataError or
    CacheError, and Stopped when `stop` returns True; published shards stay, and the next run continues from there.
    """
    started = time.monotonic()
    for device in config.devices:
        check_device_name(device)
    found = _limited(_opened(config, dataset, say), config.limit)
    with sole_writer(config.out, say), plain_failures(config.out), fp32_without_tf32():
        remove_leftovers(config.out)
        hints = Hints(config.out)
        try:
            return _extract(config, found, hints, say, stop, started)
        finally:
            hints.save()


@dataclass(frozen=True)
class _Work:
    """What is to be made with one encoder, and what of it is there."""

    identity: EncoderIdentity
    plan: Plan
    shards: PublishedShards
    text: TextFields


def _extract(
    config: ExtractConfig, dataset: Dataset, hints: Hints, say: Say, stop: Stop, started: float
) -> ExtractResult:
    """Do all that writes into the cache, under its lock."""
    with (
        ThreadPoolExecutor(config.workers or min(os.cpu_count() or 1, MOST_THREADS)) as pool,
        tqdm(total=len(dataset.tracklets), unit="tracklet", desc="extract", disable=None) as bar,
    ):

        def look(identity: EncoderIdentity) -> _Work:
            bar.reset()
            plan = make_plan(dataset.tracklets, config, identity)
            shards = PublishedShards(config, plan, hints, say)
            shards.find(pool, bar.update, stop)
            return _Work(identity, plan, shards, TextFields(config.out, dataset.schema, config.prompts, identity))

        request = encoder_request(config)
        recalled = None if config.recheck else recall(hints, request)
        work = None if recalled is None else look(recalled)
        encoder: Encoder | None = None
        if work is None or work.shards.missing or not work.text.are_known:
            encoder = _build(config)
            identity = identity_of(encoder)
            if work is None or work.identity != identity:  # nothing was recalled, or the hint was wrong
                work = look(identity)
        missing = work.shards.missing
        if encoder is not None:
            remember(hints, request, work.identity)
            work.shards.refuse_other_settings()
            work.text.encode(encoder)  # before the long work: a wrong prompt should show at once
            if missing:
                writing = time.monotonic()
                LocalExecutor(config, work.plan, encoder, pool, work.shards.publish, bar.update, stop).run(missing)
                tracklets = sum(len(task.sources) for task in missing)
                hints.put("timing", ENCODE_SECONDS, (time.monotonic() - writing) / tracklets)
    headers = work.shards.headers
    skipped = _account_for_skipped(config, dataset, headers)
    _write_index(config, dataset, work)
    work.shards.remove_unlisted()
    splits = {tracklet.tracklet_id: tracklet.split for tracklet in dataset.tracklets}
    rows = [splits[row] for header in headers for row in header.tracklet_ids]
    return ExtractResult(
        index=config.out,
        dataset=dataset.name,
        num_train=rows.count("train"),
        num_validation=rows.count("validation"),
        num_test=rows.count("test"),
        shards_kept=len(headers) - len(missing),
        shards_computed=len(missing),
        skipped=skipped,
        precision=str(work.identity.visual["precision"]),
        random_weights=work.identity.weights_name.startswith("random:"),
        seconds=time.monotonic() - started,
    )


def _build(config: ExtractConfig) -> Encoder:
    """Return the encoder on the first device. UserError where any device is missing, before weights are read."""
    for device in config.devices:
        resolve_device(device)
    return build_encoder(config, config.devices[0])


def _opened(config: ExtractConfig, dataset: Dataset | None, say: Say) -> Dataset:
    """Return the caller's dataset or the one that the settings name, and say what it holds."""
    if (dataset is None) == (config.dataset is None):
        got = "none" if dataset is None else f"{config.dataset!r} and a Dataset"
        raise UserError(f"dataset: got {got}; expected a name in the settings or a Dataset of your own")
    if dataset is None:
        assert config.dataset is not None
        assert config.root is not None
        # The demo's tracklets are drawn when they are not there: once, not twice at the same time.
        with sole_writer(config.root, say) if config.dataset == "demo" else nullcontext():
            dataset = load_dataset(config.dataset, config.root, config.labels, config.schema, config.seed)
    else:  # checked and put in order, as every loader does
        given = dataset
        dataset = build_dataset(
            given.name, given.schema, given.tracklets, given.left_out, given.notes, given.people_known
        )
    say(f"{dataset.name}: {', '.join(_counts(dataset))}")
    for note in dataset.notes:
        say(note)
    return dataset


def _counts(dataset: Dataset) -> Iterator[str]:
    """Yield how many tracklets, and people where they are known, each split has."""
    for split in SPLITS:
        if count := dataset.count(split):
            people = f" of {dataset.num_people(split)} people" if dataset.people_known else ""
            yield f"{count} {split} tracklets{people}"


def _limited(dataset: Dataset, limit: int | None) -> Dataset:
    """Return the dataset with `limit` tracklets spread evenly, so that both splits and many people stay in."""
    total = len(dataset.tracklets)
    if limit is None or limit >= total:
        return dataset
    chosen = tuple(dataset.tracklets[(2 * i + 1) * total // (2 * limit)] for i in range(limit))
    return replace(dataset, tracklets=chosen)


def _account_for_skipped(
    config: ExtractConfig, dataset: Dataset, headers: Sequence[ShardHeader]
) -> tuple[LeftOut, ...]:
    """List every labelled tracklet that is not in the cache in skipped.csv. DataError beyond --max-bad."""
    unreadable = [LeftOut(*skip) for header in headers for skip in header.skipped]
    skipped = (*dataset.left_out, *unreadable)
    path = fmt.shard_folder(config.out) / "skipped.csv"
    if not skipped:
        path.unlink(missing_ok=True)
        return ()
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["tracklet_id", "split", "reason"])
    writer.writerows(map(csv_cell, (item.tracklet_id, item.split, item.reason)) for item in skipped)
    write_text(path, table.getvalue())
    if len(skipped) > config.max_bad:
        first = "; ".join(f"{item.tracklet_id}: {item.reason}" for item in skipped[:SHOWN_LEFT_OUT])
        raise DataError(
            f"{len(skipped)} tracklets cannot be used, more than --max-bad {config.max_bad} ({first}); all are "
            f"listed in {path}. Fix them, or allow them with --max-bad {len(skipped)}: finished shards are kept"
        )
    return skipped


def _write_index(config: ExtractConfig, dataset: Dataset, work: _Work) -> None:
    """Publish the index over the shards."""
    headers = work.shards.headers
    by_id = {tracklet.tracklet_id: tracklet for tracklet in dataset.tracklets}
    rows = [by_id[tracklet_id] for header in headers for tracklet_id in header.tracklet_ids]
    for split in NEEDED_SPLITS:
        if not any(row.split == split for row in rows):
            raise DataError(
                f"{dataset.name}: got no usable {split} tracklet; expected one or more of each split. "
                "Fix the data, or raise --limit"
            )
    contents = IndexContents(
        shards=headers,
        tracklet_ids=[row.tracklet_id for row in rows],
        splits=[row.split for row in rows],
        person_ids=[row.person_id for row in rows],
        camera_ids=[row.camera_id for row in rows],
        num_frames=[len(row.frames) for row in rows],
        people_known=dataset.people_known,
        labels=np.stack([row.labels for row in rows]),  # (N, A)
        known=np.stack([row.known_labels() for row in rows]),  # (N, A)
        quality=np.stack([row.quality for row in rows]),  # (N, Q)
        schema=dataset.schema,
        dataset=dataset.name,
        visual_config=work.plan.visual_config,
        visual_fingerprint=work.plan.visual_fingerprint,
        weights=work.identity.weights_name,
        environments=[header.environment for header in headers],
        **work.text.fields(),
    )
    write_index(config.out, contents)
