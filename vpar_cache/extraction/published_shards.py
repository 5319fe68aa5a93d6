"""The shards of a cache that are on disk: which can be kept, and where new ones go."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from vpar_cache.base.callbacks import Say, Stop, check_stop
from vpar_cache.base.files import PARTIAL_SUFFIX
from vpar_cache.base.hashing import fingerprint
from vpar_cache.cache import format as fmt
from vpar_cache.cache.fingerprint import other_settings
from vpar_cache.cache.headers import ShardHeader, read_shard_header
from vpar_cache.cache.hints import Hints
from vpar_cache.cache.index import read_index
from vpar_cache.cache.writer import ShardContents, write_shard
from vpar_cache.datasets.loading import hash_tracklet
from vpar_cache.errors import CacheError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.plan import Plan, ShardTask, digest_shard, file_signature

SHOWN_LEFT_OUT = 5
"""Tracklets left out that are named while a run works and in its error; skipped.csv lists all of them."""


class PublishedShards:
    """The published shards of one plan. The caller holds the cache's lock."""

    def __init__(self, config: ExtractConfig, plan: Plan, hints: Hints, say: Say) -> None:
        self._config, self._plan, self._hints, self._say = config, plan, hints, say
        self._folder = fmt.shard_folder(config.out)
        self._headers: dict[int, ShardHeader] = {}
        self._num_left_out = 0

    @property
    def missing(self) -> list[ShardTask]:
        """The tasks that no published shard is known for."""
        return [task for task in self._plan.tasks if task.number not in self._headers]

    @property
    def headers(self) -> list[ShardHeader]:
        """Of all shards, in shard order, once none is missing."""
        return [self._headers[task.number] for task in self._plan.tasks]

    def find(self, pool: ThreadPoolExecutor, done: Callable[[int], object], stop: Stop) -> None:
        """Find the shards that can be kept. `done` is called with the number of tracklets in each."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            if path.name.endswith(PARTIAL_SUFFIX):
                path.unlink(missing_ok=True)  # of a killed run
        for task in self._plan.tasks:
            check_stop(stop)
            header = self._kept(task, pool)
            if header is not None:
                self._headers[task.number] = header
                done(len(task.sources))

    def _kept(self, task: ShardTask, pool: ThreadPoolExecutor) -> ShardHeader | None:
        """Return the header of a shard that was made of this task's sources as they are now."""
        path = self._folder / task.file
        if not path.exists():
            return None
        try:
            header = read_shard_header(path)
        except CacheError as error:
            self._say(f"{error}; computing it again")
            return None
        if header.visual_fingerprint != self._plan.visual_fingerprint:
            return None
        signature = file_signature(task)
        stored = self._hints.get("sources", task.file)
        if not self._config.recheck and isinstance(stored, list) and stored[:1] == [signature]:
            digest = stored[-1]
        else:
            digest = digest_shard(list(pool.map(hash_tracklet, task.sources)))
            self._remember(task, signature, digest, header)
        return header if header.source_digest == digest else None

    def publish(self, task: ShardTask, signature: str, contents: ShardContents) -> None:
        """Write a shard. `signature`: of its source files, taken before they were read."""
        path = self._folder / task.file
        write_shard(path, contents)
        header = read_shard_header(path)
        self._headers[task.number] = header
        self._remember(task, signature, contents.source_digest, header)
        for tracklet_id, split, reason in contents.skipped:
            self._num_left_out += 1
            if self._num_left_out <= SHOWN_LEFT_OUT:
                self._say(f"left out: {tracklet_id} ({split}): {reason}")

    def _remember(self, task: ShardTask, signature: str, digest: str, header: ShardHeader) -> None:
        """Spare the next run reading these files. A shard that left something out is always read again: fixed
        permissions and disks show neither in sizes nor in times."""
        if not header.skipped:
            self._hints.put("sources", task.file, [signature, digest])

    def refuse_other_settings(self) -> None:
        """Raise CacheError when --out already holds features of other settings or weights."""
        found = None
        for path in (self._config.out, *sorted(self._folder.glob("shard-*.h5"))):
            try:
                if path == self._config.out:
                    found = read_index(path).visual_config
                else:
                    found = read_shard_header(path).visual_config
                break
            except (CacheError, UserError):
                continue  # missing or damaged: it will be written again, and says nothing of the settings
        if found is not None and fingerprint(found) != self._plan.visual_fingerprint:
            raise other_settings(self._config.out, self._plan.visual_config, found)

    def remove_unlisted(self) -> None:
        """Remove shards of a larger dataset or another shard size, once the index no longer lists them."""
        wanted = {task.file for task in self._plan.tasks}
        for path in self._folder.iterdir():
            if fmt.SHARD_NAME.fullmatch(path.name) and path.name not in wanted:
                path.unlink(missing_ok=True)
