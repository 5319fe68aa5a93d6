"""Several processes that write one cache at the same time, on this machine or others: who may remove what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from vpar_cache.base.callbacks import Say
from vpar_cache.base.lock import Fellow, fellow_writer, find_writer
from vpar_cache.cache import format as fmt
from vpar_cache.cache.hints import Hints
from vpar_cache.cache.writer import remove_unlisted
from vpar_cache.errors import BeingWrittenError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.held_cache import remove_leftovers_of_killed_runs


class CacheWriter:
    """This process among those that write a cache."""

    def __init__(self, config: ExtractConfig, fellow: Fellow, say: Say) -> None:
        self._config, self._fellow, self._say = config, fellow, say

    def clean_up(self, listed: Iterable[str], hints: Hints) -> None:
        """Remove the shards that the published index does not list, where no other process may need them."""
        out = self._config.out
        if self._config.overwrite:  # alone since the beginning
            remove_unlisted(out, listed)
            return
        with self._fellow.alone(at_the_end=True) as alone:
            if alone:
                remove_unlisted(out, listed)
                hints.gather()
            else:
                self._say(f"another process writes {out}: the shards that the index does not list stay for now")


@contextmanager
def writing_together(config: ExtractConfig, say: Say) -> Iterator[CacheWriter]:
    """Write a cache, perhaps with other processes. With --overwrite alone: BeingWrittenError where one writes it.

    What killed runs left is removed first, unless another process writes.
    """
    out = config.out
    with fellow_writer(out, say) as fellow:
        if not config.overwrite:
            with fellow.alone() as alone:
                if alone:
                    _remove_leftovers(config)
            yield CacheWriter(config, fellow, say)
            return
        with fellow.alone(at_the_end=True) as alone:
            if not alone and (writer := find_writer(out)):
                raise BeingWrittenError(
                    f"{out} is being written by {writer}, and --overwrite needs it alone; wait until that process "
                    "ends or stop it, then run the same command again"
                )
            _remove_leftovers(config)
            yield CacheWriter(config, fellow, say)


def _remove_leftovers(config: ExtractConfig) -> None:
    remove_leftovers_of_killed_runs(config.out)
    for lock in fmt.shard_folder(config.out).glob(".task-*.lock"):
        lock.unlink(missing_ok=True)
