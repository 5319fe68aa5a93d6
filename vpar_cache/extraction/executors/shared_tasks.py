"""Shard tasks that other processes may take too, on this machine or another: each has a lock of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from vpar_cache.base.callbacks import Say, Stop, check_stop
from vpar_cache.base.hashing import fingerprint
from vpar_cache.base.lock import sole_writer
from vpar_cache.errors import BeingWrittenError
from vpar_cache.extraction.plan import Plan, ShardTask

_LOOK_AGAIN_SECONDS = 0.5
"""Between two looks at shards that others compute."""


class SharedTasks:
    """A list of tasks. A task that another process computes now is put off until it is done there."""

    def __init__(
        self,
        tasks: Sequence[ShardTask],
        plan: Plan,
        folder: Path,
        is_published: Callable[[ShardTask], bool],
        say: Say,
        stop: Stop,
    ) -> None:
        """`folder`: where shards are published. `is_published`: called with the lock of a task held."""
        self._todo, self._busy = list(reversed(tasks)), list[ShardTask]()
        self._plan, self._folder, self._is_published = plan, folder, is_published
        self._say, self._stop = say, stop
        self._mutex = threading.Lock()
        self._has_said = False

    def take(self) -> tuple[ShardTask, ExitStack] | None:
        """Return a task, and its lock to close when the shard is published; None where none is free."""
        while True:
            with self._mutex:
                if not self._todo:
                    return None
                task = self._todo.pop()
            lock = ExitStack()
            try:
                lock.enter_context(self._lock(task))
            except BeingWrittenError as error:
                with self._mutex:
                    self._busy.append(task)
                    if not self._has_said:
                        self._say(f"another process works on this cache too: {error}".partition(";")[0])
                        self._has_said = True
                continue
            with ExitStack() as unless_taken:
                unless_taken.callback(lock.close)
                if not self._is_published(task):
                    unless_taken.pop_all()
                    return task, lock

    def wait_for_others(self) -> bool:
        """Wait where others compute the tasks that are left; return whether any may be free now."""
        with self._mutex:
            if not self._busy:
                return bool(self._todo)
            self._todo, self._busy = [*self._todo, *reversed(self._busy)], []
        until = time.monotonic() + _LOOK_AGAIN_SECONDS
        while time.monotonic() < until:
            check_stop(self._stop)
            time.sleep(_LOOK_AGAIN_SECONDS / 10)
        return True

    def _lock(self, task: ShardTask) -> AbstractContextManager[None]:
        return sole_writer(self._folder / f"task-{task_key(task, self._plan)}", self._say)


def task_key(task: ShardTask, plan: Plan) -> str:
    """Return 16 hex digits that name a task in every process: its settings and its tracklets, in order."""
    identities = [source.identity() for source in task.sources]
    return fingerprint({"visual": plan.visual_fingerprint, "sources": identities})[:16]
