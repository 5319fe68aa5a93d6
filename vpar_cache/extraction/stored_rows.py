"""Which rows of a plan are published already, in whatever shard, and which have to be encoded."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from vpar_cache.base.callbacks import Stop, check_stop
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import ShardHeader, Skipped, read_shard_header
from vpar_cache.cache.hints import Hints
from vpar_cache.datasets.frame_choice import Source
from vpar_cache.datasets.loading import hash_tracklet
from vpar_cache.errors import DamagedError
from vpar_cache.extraction.held_cache import HeldCache
from vpar_cache.extraction.plan import Plan, ShardTask, StoredRow, file_signature

_SOURCES = "sources"
"""Section of the hints: for each tracklet the signature of its files and its source digest."""
Found = StoredRow | Skipped


@dataclass(frozen=True)
class FoundShards:
    """The shards of a plan: those that are published as they are, and those to make."""

    kept: dict[int, ShardHeader]
    """By number."""
    tasks: tuple[ShardTask, ...]


class RowFinder:
    """Looks up the sources of a plan among the rows of a cache."""

    def __init__(self, held: HeldCache, plan: Plan, folder: Path, hints: Hints, recheck: bool) -> None:
        """`folder`: of the shards. `recheck`: read the contents of sources again, even where sizes and times are
        unchanged.
        """
        self._plan, self._folder, self._hints, self._recheck = plan, folder, hints, recheck
        self._seen = {shard.file for shard in held.shards}
        self._shards = {shard.file: shard for shard in held.shards if _fits(shard, plan)}
        self._rows = _rows_by_id(self._shards.values())
        self._mutex = threading.Lock()

    def find(self, pool: ThreadPoolExecutor, done: Callable[[int], object], stop: Stop) -> FoundShards:
        """Return what is to be made. `done` is called with the number of tracklets in each shard that is kept."""
        kept: dict[int, ShardHeader] = {}
        tasks = []
        for number, sources in enumerate(self._plan.shards):
            check_stop(stop)
            found = self._find(number, sources, pool)
            if isinstance(found, ShardHeader):
                kept[number] = found
                done(len(sources))
            else:
                tasks.append(found)
        return FoundShards(kept, tuple(tasks))

    def find_published(
        self, task: ShardTask, ours: Collection[ShardHeader], pool: ThreadPoolExecutor
    ) -> ShardHeader | None:
        """Return the shard of a task if another process has published it since `find`.

        `ours`: the shards of this process, which are not of others. The shard is looked up by the name that it
        would have with a row for every tracklet that is to be encoded.
        """
        with self._mutex:
            of_others = {path.name for path in self._folder.glob(fmt.SHARD_GLOB)}
            of_others -= self._seen.union(shard.file for shard in ours)
            if not of_others:
                return None
            digests = self._digests(list(task.sources), self._rows, pool)
        skipped = {found[0] for found in task.stored if isinstance(found, tuple)}
        ids = [source.tracklet.tracklet_id for source in task.sources]
        rows, left_out = [id for id in ids if id not in skipped], [id for id in ids if id in skipped]
        name = fmt.shard_name(
            self._plan.visual_fingerprint, [digests[id] for id in rows], [digests[id] for id in left_out]
        )
        if name not in of_others:
            return None
        try:
            shard = read_shard_header(self._folder / name)
        except (DamagedError, FileNotFoundError):
            return None
        return shard if _fits(shard, self._plan) else None

    def _find(self, number: int, sources: tuple[Source, ...], pool: ThreadPoolExecutor) -> ShardHeader | ShardTask:
        candidates = [source for source in sources if source.tracklet.tracklet_id in self._rows]
        digests = self._digests(candidates, self._rows, pool)
        stored = tuple(
            self._rows.get(s.tracklet.tracklet_id, {}).get(digests.get(s.tracklet.tracklet_id, ""))
            for s in sources
        )
        same = self._shards.get(_name_of(self._plan.visual_fingerprint, stored))
        return ShardTask(number, sources, stored) if same is None else same

    def _digests(
        self, sources: list[Source], rows: dict[str, dict[str, Found]], pool: ThreadPoolExecutor
    ) -> dict[str, str]:
        """Return source digests by tracklet id. Contents are read only where sizes or times changed."""
        digests: dict[str, str] = {}
        unknown = []
        for source, signature in zip(sources, pool.map(file_signature, sources), strict=True):
            hint = self._hints.get(_SOURCES, source.tracklet.tracklet_id)
            if not self._recheck and isinstance(hint, list) and len(hint) == 2 and hint[0] == signature:
                digests[source.tracklet.tracklet_id] = str(hint[1])
            else:
                unknown.append((source, signature))
        hashed = pool.map(hash_tracklet, [source for source, _ in unknown])
        for (source, signature), digest in zip(unknown, hashed, strict=True):
            tracklet_id = source.tracklet.tracklet_id
            digests[tracklet_id] = digest
            if isinstance(rows.get(tracklet_id, {}).get(digest), StoredRow):
                remember_source(self._hints, tracklet_id, signature, digest)
        return digests


def remember_source(hints: Hints, tracklet_id: str, signature: str, digest: str) -> None:
    """Spare the next run reading these files. Not for a tracklet that was left out: that one is always read again,
    because fixed permissions and disks show neither in sizes nor in times."""
    hints.put(_SOURCES, tracklet_id, [signature, digest])


def _fits(shard: ShardHeader, plan: Plan) -> bool:
    """Return whether a shard has the settings and the arrays of this plan."""
    shapes = {name: shape[1:] for name, shape in shard.shapes.items()}
    return shard.visual_fingerprint == plan.visual_fingerprint and shapes == plan.shapes


def _rows_by_id(shards: Collection[ShardHeader]) -> dict[str, dict[str, Found]]:
    """Return by tracklet id and source digest where a row is, or why there is none."""
    rows: dict[str, dict[str, Found]] = defaultdict(dict)
    for shard in shards:
        for skip in shard.skipped:
            rows[skip[0]].setdefault(skip[3], skip)
        for row, (tracklet_id, digest) in enumerate(zip(shard.tracklet_ids, shard.source_digests, strict=True)):
            rows[tracklet_id][digest] = StoredRow(shard, row)
    return rows


def _name_of(visual_fingerprint: str, stored: tuple[Found | None, ...]) -> str:
    """Return the name of the shard that holds all of these; "" where one is missing."""
    if any(found is None for found in stored):
        return ""
    rows = [found.shard.source_digests[found.row] for found in stored if isinstance(found, StoredRow)]
    return fmt.shard_name(visual_fingerprint, rows, [found[3] for found in stored if isinstance(found, tuple)])
