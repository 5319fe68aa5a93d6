"""Stage 1, `vpar extract`: tracklets in, a sealed feature cache out.

A list of shard tasks: rows that the cache at --out holds already, of the same settings, weights and source bytes,
are copied, and only the others are encoded. No file that the published index lists is changed. A new index is
published last, then the shards that it no longer lists are removed. Killed at any moment, a run can be started
again with the same options and goes on. Several processes may write one cache at the same time: each shard has
a lock, and is computed once.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vpar_cache.base.callbacks import Say, Stop, check_stop, log, never
from vpar_cache.base.devices import check_device_name
from vpar_cache.base.files import plain_failures
from vpar_cache.base.lock import patient_writer
from vpar_cache.base.progress import progress
from vpar_cache.cache import format as fmt
from vpar_cache.cache.fingerprint import other_settings
from vpar_cache.cache.headers import ShardHeader
from vpar_cache.cache.hints import ENCODE_SECONDS, Hints
from vpar_cache.datasets.tracklet import Dataset, LeftOut
from vpar_cache.errors import count_of
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import EncoderIdentity, encoder_request, recall, remember
from vpar_cache.extraction.executors.choice import make_executor
from vpar_cache.extraction.executors.decoding import decoding_threads
from vpar_cache.extraction.executors.interface import Executor
from vpar_cache.extraction.executors.shared_tasks import SharedTasks
from vpar_cache.extraction.held_cache import (
    HeldCache,
    adopt_precision,
    read_held_cache,
    refuse_foreign,
    refuse_known_differences,
    refuse_to_drop,
)
from vpar_cache.extraction.plan import Plan, ShardReceipt, ShardTask, estimate_bytes, make_plan
from vpar_cache.extraction.results import account_for_skipped, publish_index
from vpar_cache.extraction.shard import copy_shard, publish_shard
from vpar_cache.extraction.space import check_space
from vpar_cache.extraction.stored_rows import FoundShards, RowFinder, remember_source
from vpar_cache.extraction.text_fields import TextFields
from vpar_cache.extraction.together import writing_together
from vpar_cache.extraction.tracklet_list import list_tracklets

if TYPE_CHECKING:
    from tqdm import tqdm


SHOWN_LEFT_OUT = 5
"""Tracklets left out that are named while a run works; skipped.csv lists all of them."""


@dataclass(frozen=True)
class ExtractResult:
    """What an extraction wrote, and from what."""

    index: Path
    dataset: str
    num_train: int
    num_validation: int
    num_test: int
    encoded: int
    """Tracklets that were encoded."""
    copied: int
    """Tracklets whose features the cache held already."""
    shards_kept: int
    """Of which no byte was written; the others are new."""
    shards_written: int
    skipped: tuple[LeftOut, ...]
    precision: str
    random_weights: bool
    seconds: float
    unit: str = "tracklet"
    """What each of them is: a tracklet or an image."""


def extract(
    config: ExtractConfig, *, dataset: Dataset | None = None, say: Say = log, stop: Stop = never
) -> ExtractResult:
    """Write or complete the cache at `config.out` and return what it holds.

    `dataset`: your own tracklets, in place of `config.dataset` and `config.root`. Raises UserError, DataError or
    CacheError, and Stopped when `stop` returns True; published shards stay, and the next run continues from there.
    """
    started = time.monotonic()
    config = replace(config, out=fmt.follow_link(config.out))
    if config.executor == "ray":
        config = config.with_absolute_paths()
    for device in config.devices:
        check_device_name(device)
    refuse_foreign(config.out)
    found = list_tracklets(config, dataset, say, stop)
    with writing_together(config, say) as writer, plain_failures(config.out):
        hints = Hints(config.out, part="" if config.task is None else "{}-of-{}".format(*config.task))
        extraction = _Extraction(config, found, hints, say, stop)
        try:
            result = extraction.run(started)
        finally:
            hints.save()
        if config.task is None:
            writer.clean_up([header.file for header in extraction.headers], hints)
    return result


@dataclass(frozen=True)
class _Work:
    """What is to be made with one encoder, and what of it is there."""

    identity: EncoderIdentity
    plan: Plan
    finder: RowFinder
    found: FoundShards


class _Extraction:
    """All that writes into the cache."""

    def __init__(self, config: ExtractConfig, dataset: Dataset, hints: Hints, say: Say, stop: Stop) -> None:
        self._dataset, self._hints, self._say, self._stop = dataset, hints, say, stop
        self._text = TextFields(dataset.schema, config.prompts)
        self._held = read_held_cache(config.out, say, stop)
        # Before an encoder is built: what can be known without one.
        if len(dataset.left_out) > config.max_bad:
            account_for_skipped(config, dataset, ())
        refuse_to_drop(
            self._held,
            {t.tracklet_id for t in dataset.tracklets},
            config,
            "are not in this run's list of tracklets",
        )
        refuse_known_differences(self._held, config)
        self._config = adopt_precision(config, self._held)
        self.headers: list[ShardHeader] = []
        self._headers: dict[int, ShardHeader] = {}
        self._encoded: set[str] = set()
        self._num_left_out = 0
        self._is_space_checked = False

    def run(self, started: float) -> ExtractResult:
        """Find what is there, make the rest, publish the index unless this is an array task."""
        config = self._config
        with (
            ThreadPoolExecutor(decoding_threads(config)) as pool,
            progress(total=len(self._dataset.tracklets), unit="tracklet", desc="extract") as bar,
            closing(make_executor(config, pool, self._say, self._stop)) as executor,
        ):
            work = self._look_and_start(executor, pool, bar)
            self._headers = dict(work.found.kept)
            self._check_space(work)
            if not self._text.are_known and config.task is None:
                self._say(f"encoding {count_of(self._text.num_prompts, 'prompt')}")
                # Before the long work: a wrong prompt should show at once.
                self._text = executor.encode_text(self._text)
            tasks = [task for task in work.found.tasks if config.is_own(task.number)]
            self._copy([task for task in tasks if not task.to_encode], work, bar)
            if to_encode := [task for task in tasks if task.to_encode]:
                self._encode(to_encode, work, executor, pool, bar)
        numbers = [number for number in range(len(work.plan.shards)) if config.is_own(number)]
        self.headers = [self._headers[number] for number in numbers]
        skipped: tuple[LeftOut, ...] = ()
        if config.task is None:
            skipped = account_for_skipped(config, self._dataset, self.headers)
            self._publish(work)
        splits = {tracklet.tracklet_id: tracklet.split for tracklet in self._dataset.tracklets}
        rows = [tracklet_id for header in self.headers for tracklet_id in header.tracklet_ids]
        counts = [splits[row] for row in rows]
        encoded = len(self._encoded.intersection(rows))
        kept = sum(number in work.found.kept for number in numbers)
        return ExtractResult(
            index=config.out,
            dataset=self._dataset.name,
            num_train=counts.count("train"),
            num_validation=counts.count("validation"),
            num_test=counts.count("test"),
            encoded=encoded,
            copied=len(rows) - encoded,
            shards_kept=kept,
            shards_written=len(numbers) - kept,
            skipped=skipped,
            precision=str(work.identity.visual["precision"]),
            random_weights=work.identity.weights_name.startswith("random:"),
            seconds=time.monotonic() - started,
            unit=self._dataset.schema.unit,
        )

    def _publish(self, work: _Work) -> None:
        """Write the index, unless another process has published one meanwhile that this would make smaller."""
        config = self._config
        with patient_writer(fmt.shard_folder(config.out) / "index", self._say, self._stop):
            held = read_held_cache(config.out, self._say, self._stop)  # another process may have published one
            self._refuse_other_settings(held, work.plan)
            rows = {tracklet_id for header in self.headers for tracklet_id in header.tracklet_ids}
            refuse_to_drop(self._held, rows, config, "cannot be read any more")
            refuse_to_drop(held, rows, config, "are not in this run's list of tracklets")
            publish_index(config.out, self._dataset, self.headers, work.plan, work.identity, self._text)

    def _look_and_start(self, executor: Executor, pool: ThreadPoolExecutor, bar: tqdm[Any]) -> _Work:
        """Return what is to be made. The executor is started where anything needs an encoder."""
        config = self._config
        request = encoder_request(config)
        recalled = None if config.recheck else recall(self._hints, request)
        work = None if recalled is None else self._look(recalled, pool, bar)
        if work is not None and self._held.has_settings(work.plan.visual_fingerprint):
            self._check_space(work)
            needs_text = config.task is None and not self._text.are_known
            if not needs_text and not any(t.to_encode for t in work.found.tasks if config.is_own(t.number)):
                return work
        identity = executor.start()
        if work is None or work.identity != identity:  # nothing was recalled, or the hint was wrong
            work = self._look(identity, pool, bar)
        self._refuse_other_settings(self._held, work.plan)
        remember(self._hints, request, identity)
        return work

    def _refuse_other_settings(self, held: HeldCache, plan: Plan) -> None:
        """Raise CacheError where a cache has rows of other settings, unless with --overwrite."""
        theirs = held.visual_config
        if theirs is not None and not self._config.overwrite and not held.has_settings(plan.visual_fingerprint):
            raise other_settings(self._config.out, plan.visual_config, theirs)

    def _look(self, identity: EncoderIdentity, pool: ThreadPoolExecutor, bar: tqdm[Any]) -> _Work:
        """Return what is to be made with such an encoder."""
        bar.reset()
        plan = make_plan(self._dataset.tracklets, self._config, identity)
        self._text.find(identity, self._held.index)
        folder = fmt.shard_folder(self._config.out)
        finder = RowFinder(self._held, plan, folder, self._hints, self._config.recheck)
        return _Work(identity, plan, finder, finder.find(pool, bar.update, self._stop))

    def _check_space(self, work: _Work) -> None:
        """Say once how much is to be written, and stop where it does not fit on the disk."""
        if work.found.tasks and not self._is_space_checked:
            check_space(self._config.out, estimate_bytes(work.found.tasks, work.plan.shapes), self._say)
            self._is_space_checked = True

    def _copy(self, tasks: list[ShardTask], work: _Work, bar: tqdm[Any]) -> None:
        """Make the shards of which every row is stored already."""
        folder = fmt.shard_folder(self._config.out)
        for task in tasks:
            check_stop(self._stop)
            contents = copy_shard(task, work.plan, folder, work.identity.weights_name)
            self._headers[task.number] = publish_shard(folder, contents)
            bar.update(len(task.sources))

    def _encode(
        self, tasks: list[ShardTask], work: _Work, executor: Executor, pool: ThreadPoolExecutor, bar: tqdm[Any]
    ) -> None:
        """Make the shards that need the encoder, together with other processes that do the same."""

        def is_published(task: ShardTask) -> bool:
            header = work.finder.find_published(task, list(self._headers.values()), pool)
            if header is not None:
                self._headers[task.number] = header
                bar.update(len(task.sources))
            return header is not None

        started = time.monotonic()
        folder = fmt.shard_folder(self._config.out)
        todo = SharedTasks(tasks, work.plan, folder, is_published, self._say, self._stop)
        executor.run(todo, work.plan, self._receive, bar.update)
        if self._encoded:
            self._hints.put("timing", ENCODE_SECONDS, (time.monotonic() - started) / len(self._encoded))

    def _receive(self, receipt: ShardReceipt) -> None:
        """Take note of a published shard."""
        header = receipt.header
        self._headers[receipt.number] = header
        self._encoded.update(receipt.signatures)
        digests = dict(zip(header.tracklet_ids, header.source_digests, strict=True))
        for tracklet_id, signature in receipt.signatures.items():
            if tracklet_id in digests:
                remember_source(self._hints, tracklet_id, signature, digests[tracklet_id])
        for tracklet_id, split, reason, _ in header.skipped:
            if tracklet_id in receipt.signatures:
                self._num_left_out += 1
                if self._num_left_out <= SHOWN_LEFT_OUT:
                    self._say(f"left out: {tracklet_id} ({split}): {reason}")
