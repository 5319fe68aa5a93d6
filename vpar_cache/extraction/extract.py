"""Stage 1, `vpar extract`: tracklets in, a sealed feature cache out.

A list of shard tasks: each is kept when its published shard already stands for the same settings, weights
and source bytes, and computed otherwise. The index is written last. Killed at any moment, a run can be
started again with the same options and goes on. One process at a time writes a cache; others are refused.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.prompts import build_negative_prompts, build_prompts
from vpar_cache.base.csv_cells import csv_cell
from vpar_cache.base.files import plain_failures, remove_leftovers, write_text
from vpar_cache.base.interrupts import no_lost_interrupts
from vpar_cache.base.lock import sole_writer
from vpar_cache.base.settings import fingerprint
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import ShardHeader
from vpar_cache.cache.index import read_index
from vpar_cache.cache.writer import IndexContents, ShardEntry, write_index
from vpar_cache.datasets.loaders import load_dataset
from vpar_cache.datasets.tracklet import SPLITS, Dataset, LeftOut
from vpar_cache.errors import CacheError, DataError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_memory import EncoderMemory
from vpar_cache.extraction.executors.local import SHOWN_LEFT_OUT, Say, ShardRun
from vpar_cache.extraction.lazy_encoder import LazyEncoder, OtherEncoderError, encoder_for

Embeddings = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class ExtractResult:
    """What an extraction wrote, and from what."""

    index: Path
    dataset: str
    num_train: int
    num_test: int
    shards_kept: int
    shards_computed: int
    skipped: tuple[LeftOut, ...]
    precision: str
    random_weights: bool
    seconds: float


def extract_features(config: ExtractConfig, say: Say = lambda message: None) -> ExtractResult:
    """Write or complete the cache at `config.out` and return what it holds.

    `say` gets what a user should know while it runs. Raises UserError, DataError or CacheError; whatever
    was published before stays, and the next run goes on from there.
    """
    started = time.monotonic()
    memory = EncoderMemory(config)
    encoder = encoder_for(config, None if config.recheck else memory.recall())
    dataset = _limited(_opened(config, say), config.limit)
    with sole_writer(config.out, say), plain_failures(config.out), no_lost_interrupts() as check:
        remove_leftovers(config.out)
        try:
            result = _extract(config, dataset, encoder, say, check, started)
        except OtherEncoderError:  # from the start, as the encoder says that it is; it is made now
            result = _extract(config, dataset, encoder, say, check, started)
        if encoder.is_made:
            memory.remember(encoder.identity)
        return result


def _extract(
    config: ExtractConfig,
    dataset: Dataset,
    encoder: LazyEncoder,
    say: Say,
    check: Callable[[], None],
    started: float,
) -> ExtractResult:
    """All that writes into the cache, under its lock."""
    run = ShardRun(config, dataset, encoder, say, check)
    run.refuse_other_fingerprint()
    text = _text_fields(config, dataset, encoder)  # before the long work: a wrong prompt should show at once
    headers = run.run()
    skipped = _account_for_skipped(config, dataset, headers)
    _write_index(config, dataset, encoder, run, headers, text)
    run.remove_unlisted()
    rows = [row for header in headers for row in header.tracklet_ids]
    splits = {t.tracklet_id: t.split for t in dataset.tracklets}
    return ExtractResult(
        index=config.out,
        dataset=dataset.name,
        num_train=sum(splits[row] == "train" for row in rows),
        num_test=sum(splits[row] == "test" for row in rows),
        shards_kept=run.kept,
        shards_computed=len(headers) - run.kept,
        skipped=skipped,
        precision=encoder.identity.precision,
        random_weights=encoder.identity.weights_name.startswith("random:"),
        seconds=time.monotonic() - started,
    )


def _opened(config: ExtractConfig, say: Say) -> Dataset:
    drawing = sole_writer(config.root, say) if config.dataset == "demo" else nullcontext()
    with drawing:  # the demo's tracklets are drawn when they are not there: once, not twice at the same time
        dataset = load_dataset(config.dataset, config.root, config.labels, config.schema, config.seed)
    counts = ", ".join(
        f"{dataset.count(split)} {split} tracklets of {dataset.num_people(split)} people" for split in SPLITS
    )
    say(f"{dataset.name}: {counts}")
    for note in dataset.notes:
        say(note)
    return dataset


def _limited(dataset: Dataset, limit: int | None) -> Dataset:
    """`limit` tracklets spread evenly, so that both splits and many people stay in."""
    total = len(dataset.tracklets)
    if limit is None or limit >= total:
        return dataset
    chosen = tuple(dataset.tracklets[(2 * i + 1) * total // (2 * limit)] for i in range(limit))
    return Dataset(dataset.name, dataset.schema, chosen, dataset.left_out, dataset.notes)


def _account_for_skipped(
    config: ExtractConfig, dataset: Dataset, headers: Sequence[ShardHeader]
) -> tuple[LeftOut, ...]:
    """List every labelled tracklet that is not in the cache; DataError beyond --max-bad.

    All of them go to NAME/skipped.csv, the first five and the total into the message.
    """
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
            f"listed in {path}; mend them, or allow them to be left out with --max-bad {len(skipped)}: "
            "finished shards are kept"
        )
    return skipped


def _write_index(
    config: ExtractConfig,
    dataset: Dataset,
    encoder: LazyEncoder,
    run: ShardRun,
    headers: Sequence[ShardHeader],
    text: Mapping[str, Any],
) -> None:
    """Publish the index over the shards."""
    by_id = {tracklet.tracklet_id: tracklet for tracklet in dataset.tracklets}
    rows = [by_id[tracklet_id] for header in headers for tracklet_id in header.tracklet_ids]
    for split in SPLITS:
        if not any(row.split == split for row in rows):
            raise DataError(
                f"no {split} tracklet is left to cache; both splits need at least one: mend the data in "
                f"{config.root}, or raise --limit"
            )
    folder = fmt.shard_folder(config.out)
    entries = [
        ShardEntry(
            file=task.file,
            rows=len(header.tracklet_ids),
            bytes=(folder / task.file).stat().st_size,
            seal=header.seal,
            source_digest=header.source_digest,
            shapes=header.shapes,
            offsets=header.offsets,
        )
        for task, header in zip(run.tasks, headers, strict=True)
    ]
    contents = IndexContents(
        shards=entries,
        tracklet_ids=[row.tracklet_id for row in rows],
        splits=[row.split for row in rows],
        person_ids=[row.person_id for row in rows],
        camera_ids=[row.camera_id for row in rows],
        num_frames=[len(row.frames) for row in rows],
        labels=np.stack([row.labels for row in rows]),
        quality=np.stack([row.quality for row in rows]),
        schema=dataset.schema,
        dataset=dataset.name,
        visual_config=run.visual_config,
        visual_fingerprint=run.visual_fingerprint,
        weights=encoder.identity.weights_name,
        environments=[header.environment for header in headers],
        **text,
    )
    write_index(config.out, contents)


def _text_fields(config: ExtractConfig, dataset: Dataset, encoder: LazyEncoder) -> dict[str, Any]:
    """The fields of IndexContents about text. Embeddings are computed only when their fingerprint changed."""
    prompts = build_prompts(dataset.schema, config.prompts)
    negatives = build_negative_prompts(dataset.schema, config.prompts)
    text_config: dict[str, Any] = {
        **encoder.identity.text,
        "prompts": list(prompts),
        "negative_prompts": list(negatives),
    }
    text_fingerprint = fingerprint(text_config)
    embeddings, negative_embeddings = _known_embeddings(config, text_fingerprint) or _embedded(
        encoder, prompts, negatives
    )
    return {
        "prompts": prompts,
        "negative_prompts": negatives,
        "text_config": text_config,
        "text_fingerprint": text_fingerprint,
        "text_embeddings": embeddings,
        "negative_embeddings": negative_embeddings,
    }


def _embedded(encoder: LazyEncoder, prompts: Sequence[str], negatives: Sequence[str]) -> Embeddings:
    """(A, Dt) twice: the prompts, and their negatives with zeros where there is none."""
    present = [row for row, negative in enumerate(negatives) if negative]
    both = encoder.load().encode_text((*prompts, *(negatives[row] for row in present)))
    embeddings = both[: len(prompts)]
    negative_embeddings = np.zeros_like(embeddings)
    negative_embeddings[present] = both[len(prompts) :]
    return embeddings, negative_embeddings


def _known_embeddings(config: ExtractConfig, text_fingerprint: str) -> Embeddings | None:
    """Those of the index that is already there, when they are the same."""
    try:
        index = read_index(config.out)
        if index.text_fingerprint == text_fingerprint:
            return index.text, index.text_negative
    except (CacheError, UserError):
        pass  # no index yet, or a damaged one: it is about to be written
    return None
