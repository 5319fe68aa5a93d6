"""What stands at --out before a run, and what of it a run may replace. Nothing here needs an encoder."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vpar_cache.base.callbacks import Say, Stop, check_stop
from vpar_cache.base.files import read_plain, remove_leftovers, remove_leftovers_in
from vpar_cache.base.hashing import fingerprint
from vpar_cache.cache import format as fmt
from vpar_cache.cache.fingerprint import other_settings
from vpar_cache.cache.headers import ShardHeader, read_shard_header
from vpar_cache.cache.hints import HINTS_NAME, is_hints_file
from vpar_cache.cache.index import Index, read_index
from vpar_cache.cache.seal import bears_seal
from vpar_cache.cache.verify import refuse_other_kinds
from vpar_cache.datasets.decoding import preprocessing_identity
from vpar_cache.errors import DamagedError, UserError, count_of
from vpar_cache.extraction.config import ExtractConfig

SKIPPED_FILE = "skipped.csv"
SKIPPED_HEADER = "tracklet_id,split,reason"
_WRITTEN_NAME = re.compile("|".join([fmt.SHARD_NAME.pattern, re.escape(SKIPPED_FILE), HINTS_NAME.pattern]))
"""Of the files that runs write into the folder of shards."""
_SHOWN_IDS = 5


@dataclass(frozen=True)
class HeldCache:
    """The published rows at --out, all of the same settings; none for a new cache."""

    index: Index | None
    shards: tuple[ShardHeader, ...] = ()
    """Intact shards under their right names: those that the index lists last."""
    visual_config: dict[str, Any] | None = None
    weights: str = ""

    @property
    def tracklet_ids(self) -> frozenset[str]:
        """All that have a row: those of the index, and those of shards that a killed run left."""
        in_index = () if self.index is None else self.index.tracklet_ids
        return frozenset(in_index).union(*(shard.tracklet_ids for shard in self.shards))

    def known_differences(self, config: ExtractConfig) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the settings of this run that differ, and the cache's, as far as that needs no encoder."""
        if self.visual_config is None:
            return {}, {}
        ours = {**config.visual_settings(), **preprocessing_identity(), "backbone": config.backbone}
        theirs = {name: self.visual_config.get(name) for name in ours}
        if config.precision != "auto":
            ours["precision"], theirs["precision"] = config.precision, self.visual_config.get("precision")
        asked = config.weights or ""
        if asked.startswith("random:") or self.weights.startswith("random:"):
            ours["weights"], theirs["weights"] = config.weights, self.weights
        names = [name for name in ours if ours[name] != theirs[name]]
        return {name: ours[name] for name in names}, {name: theirs[name] for name in names}

    def has_settings(self, visual_fingerprint: str) -> bool:
        """Return whether its rows have this fingerprint."""
        return self.visual_config is not None and fingerprint(self.visual_config) == visual_fingerprint


def refuse_foreign(out: Path) -> None:
    """Raise UserError unless all that a run may replace or remove was written by vpar.

    That is what bears vpar's seal or is listed by the index. Everything else at --out, and in a folder that is not
    yet that of a cache, belongs to somebody.
    """
    folder = fmt.shard_folder(out)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out: {folder} is in the place of the folder of shards; choose another --out")
    if out.exists() and not bears_seal(out):
        raise UserError(
            f"--out: {out} has no vpar seal, so it is not a cache that vpar wrote, and it is not replaced. "
            "Choose another --out, or move the file away"
        )
    listed = _listed(out)
    shards = sorted(folder.glob(fmt.SHARD_GLOB)) if folder.is_dir() else []
    for path in shards:
        refuse_other_kinds(path, path.lstat().st_mode)
        if path.name not in listed and not bears_seal(path):
            raise UserError(
                f"--out: {path} has no vpar seal and no index lists it, so it is not replaced. Choose another "
                "--out, or move the file away"
            )
    for path in _foreign_entries(folder, is_cache=out.exists() or bool(shards)):
        raise UserError(
            f"--out: {folder} holds {path.name!r}, so it is not the folder of a cache. Choose another --out, or "
            "move that away"
        )


def _listed(out: Path) -> frozenset[str]:
    try:
        return frozenset(shard.path.name for shard in read_index(out).shards)
    except (DamagedError, UserError):
        return frozenset()


def _foreign_entries(folder: Path, is_cache: bool) -> Iterator[Path]:
    """Yield what a run would write over, and in the folder of no cache everything that is not hidden."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_symlink():
            ours = path.name != SKIPPED_FILE and not HINTS_NAME.fullmatch(path.name) and is_cache
        elif path.name == SKIPPED_FILE:
            ours = path.is_file() and read_plain(path, len(SKIPPED_HEADER)).startswith(SKIPPED_HEADER.encode())
        elif HINTS_NAME.fullmatch(path.name):
            ours = is_cache or is_hints_file(path)
        else:
            ours = is_cache or path.name.startswith(".")
        if not ours:
            yield path


def remove_leftovers_of_killed_runs(out: Path) -> None:
    """Remove the partial files of runs that were killed. No other process may be writing the cache."""
    remove_leftovers(out)
    remove_leftovers_in(fmt.shard_folder(out), _WRITTEN_NAME)


def read_held_cache(out: Path, say: Say, stop: Stop) -> HeldCache:
    """Return the published rows at --out. Damaged files hold none, and are said.

    Raises CacheError for a file that cannot be read now, which may be intact, and for another format version.
    """
    index: Index | None = None
    if out.exists():
        try:
            index = read_index(out)
        except DamagedError as error:
            say(f"{error}; writing it again")
    headers = []
    for path in sorted(fmt.shard_folder(out).glob(fmt.SHARD_GLOB)):
        check_stop(stop)
        try:
            headers.append(read_shard_header(path))
        except DamagedError as error:
            say(f"{error}; computing it again")
    if index is not None:
        config, weights = index.visual_config, index.weights
    elif headers:
        config, weights = headers[0].visual_config, headers[0].weights
    else:
        return HeldCache(index)
    wanted = fingerprint(config)
    listed = frozenset() if index is None else frozenset(shard.path.name for shard in index.shards)
    same = (header for header in headers if header.visual_fingerprint == wanted)
    return HeldCache(index, tuple(sorted(same, key=lambda header: header.file in listed)), config, weights)


def refuse_known_differences(held: HeldCache, config: ExtractConfig) -> None:
    """Raise CacheError where settings that need no encoder differ from the cache's, unless with --overwrite."""
    ours, theirs = held.known_differences(config)
    if ours and not config.overwrite:
        raise other_settings(config.out, ours, theirs)


def adopt_precision(config: ExtractConfig, held: HeldCache) -> ExtractConfig:
    """Return the settings with the cache's precision in place of auto, so that it can go on on another machine."""
    theirs = (held.visual_config or {}).get("precision")
    if config.precision != "auto" or theirs is None or held.known_differences(config)[0]:
        return config
    return replace(config, precision=theirs)


def refuse_to_drop(held: HeldCache, kept: Collection[str], config: ExtractConfig, why: str) -> None:
    """Raise UserError where the cache holds tracklets that are not among `kept`, unless with --overwrite."""
    dropped = sorted(held.tracklet_ids.difference(kept))
    if dropped and not config.overwrite:
        shown = ", ".join(dropped[:_SHOWN_IDS]) + (", ..." if len(dropped) > _SHOWN_IDS else "")
        raise UserError(
            f"--out: {config.out} holds {count_of(len(held.tracklet_ids), 'tracklet')}, and {len(dropped)} of "
            f"them {why} ({shown}). Choose another --out, or drop them with --overwrite"
        )
