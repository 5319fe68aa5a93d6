"""Compute shards on a Ray cluster: an actor on each GPU, or several on the cores of each machine.

Actors build the encoder once and take shard tasks, two at a time each, so that none waits for the driver. Rows
never pass through Ray: an actor writes them to the shared folder and returns a receipt.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vpar_cache import __version__
from vpar_cache.base.callbacks import Say, Stop, check_stop
from vpar_cache.base.files import plain_failures
from vpar_cache.cache.format import shard_folder
from vpar_cache.datasets.decoding import preprocessing_identity
from vpar_cache.errors import CacheError, UserError, VparError, count_of
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import EncoderIdentity
from vpar_cache.extraction.executors.interface import Done, Received
from vpar_cache.extraction.executors.ray_nodes import Node, find_nodes
from vpar_cache.extraction.executors.ray_session import ray_session
from vpar_cache.extraction.executors.ray_worker import Outcome, RayWorker, Started
from vpar_cache.extraction.executors.shared_tasks import SharedTasks
from vpar_cache.extraction.plan import Plan, ShardTask
from vpar_cache.extraction.text_fields import TextFields

IN_FLIGHT = 2
"""Tasks of an actor: one that it computes, one that waits there."""
MOST_KILLS = 3
"""After so many dead workers a shard is set aside."""
_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0
"""Until it is said that no worker has started, as where others use the whole cluster."""
_RATES_SECONDS = 600.0
"""Between two looks at how fast each worker is."""


@dataclass
class _Actor:
    handle: Any
    node: Node
    starting: Any
    """Reference of what it tells when it is ready; None afterwards."""
    name: str = "a new worker"
    tasks: dict[Any, tuple[ShardTask, ExitStack]] = field(default_factory=dict)
    """By the reference of the outcome."""
    tracklets: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    ended: float = 0.0
    """When its last task was finished, by the clock of this process."""


class RayExecutor:
    """Actors on a Ray cluster."""

    def __init__(self, config: ExtractConfig, say: Say, stop: Stop) -> None:
        self._config, self._say, self._stop = config, say, stop
        self._session = ExitStack()
        self._actors: list[_Actor] = []
        self._identity: EncoderIdentity | None = None
        self._kills: Counter[int] = Counter()
        self._set_aside: list[str] = []

    def start(self) -> EncoderIdentity:
        """Connect, start the workers, and return what all their encoders compute.

        UserError where a worker has another version of this package, computes other features, or does not see the
        output folder.
        """
        self._ray = self._session.enter_context(ray_session(self._config.ray_address))
        self._session.callback(self._end_actors)
        probe = self._session.enter_context(_probe_file(self._config.out))
        nodes = find_nodes(self._ray, self._config)
        self._say(f"ray: starting {count_of(sum(node.workers for node in nodes), 'worker')}")
        self._settings = self._ray.put((self._config.for_a_worker(), probe))
        self._actors = [self._new_actor(node) for node in nodes for _ in range(node.workers)]  # all at once
        for actor in self._actors:
            try:
                self._check(actor)
            except self._ray.exceptions.RayActorError as error:
                raise CacheError(f"--executor ray: a worker could not start ({_reason(error)})") from error
        assert self._identity is not None
        return self._identity

    def encode_text(self, text: TextFields) -> TextFields:
        """Return the text fields with their embeddings, computed by the first worker."""
        result: TextFields = self._get(self._actors[0].handle.encode_text.remote(text))
        return result

    def run(self, todo: SharedTasks, plan: Plan, received: Received, done: Done) -> None:
        """Compute and publish every task, or wait until another process has."""
        shared_plan = self._ray.put(replace(plan, shards=()))
        again: deque[tuple[ShardTask, ExitStack]] = deque()
        told = time.monotonic()
        while True:
            for wanted in range(1, IN_FLIGHT + 1):  # one for each worker before any gets a second one
                for actor in self._actors:
                    if (
                        actor.starting is None
                        and len(actor.tasks) < wanted
                        and (free := again.popleft() if again else todo.take())
                    ):
                        actor.tasks[actor.handle.run.remote(shared_plan, free[0])] = free
            running = {reference: actor for actor in self._actors for reference in actor.tasks}
            if not running and not again and not todo.wait_for_others():
                break
            running |= {actor.starting: actor for actor in self._actors if actor.starting is not None}
            check_stop(self._stop)
            for reference in self._ray.wait(list(running), timeout=_LOOK_SECONDS)[0] if running else ():
                actor = running[reference]
                if reference == actor.starting:
                    self._begin(actor)
                elif reference in actor.tasks:  # not given to another meanwhile
                    self._finish(actor, reference, again, received, done)
            if time.monotonic() - told > _RATES_SECONDS:
                self._tell_rates()
                told = time.monotonic()
        for actor in self._actors:
            actor.waited += time.monotonic() - actor.ended  # for the others, which ended later
        self._tell_rates()
        if self._set_aside:
            raise CacheError(
                f"{count_of(len(self._set_aside), 'shard')} killed {MOST_KILLS} workers each and was set aside "
                f"(the shard that begins with {self._set_aside[0]}); finished shards are kept. Give the workers "
                "more memory or lower --batch-size, then run the same command again"
            )

    def close(self) -> None:
        """Let the workers go."""
        self._session.close()

    def _finish(
        self,
        actor: _Actor,
        reference: Any,
        again: deque[tuple[ShardTask, ExitStack]],
        received: Received,
        done: Done,
    ) -> None:
        """Take the outcome of a task, or start another worker where this one died."""
        try:
            outcome: Outcome = self._get(reference)
        except self._ray.exceptions.RayActorError:
            self._replace(actor, again)
            return
        task, lock = actor.tasks.pop(reference)
        lock.close()
        actor.tracklets += len(task.to_encode)
        actor.seconds += outcome.seconds
        actor.waited += outcome.waited
        actor.ended = time.monotonic()
        received(outcome.receipt)
        done(len(task.sources))

    def _replace(self, actor: _Actor, again: deque[tuple[ShardTask, ExitStack]]) -> None:
        """Give the tasks of a dead worker back, and start another one: the first was being computed."""
        first, *others = actor.tasks.values()
        actor.tasks = {}
        self._kills[first[0].number] += 1
        begins = first[0].sources[0].tracklet.tracklet_id
        if self._kills[first[0].number] < MOST_KILLS:
            again.append(first)
            self._say(f"ray: {actor.name} died; another worker computes the shard that begins with {begins}")
        else:
            first[1].close()
            self._set_aside.append(begins)
            self._say(f"ray: {actor.name} died; the shard that begins with {begins} killed {MOST_KILLS} workers")
        again.extend(others)
        self._actors[self._actors.index(actor)] = self._new_actor(actor.node)

    def _begin(self, actor: _Actor) -> None:
        """Let a new worker work; where it cannot start, go on with the others."""
        try:
            self._check(actor)
        except self._ray.exceptions.RayActorError as error:
            self._actors.remove(actor)
            self._say(f"ray: a worker could not start ({_reason(error)}); {len(self._actors)} go on")
            if not self._actors:
                raise CacheError(
                    f"no worker is left ({_reason(error)}); finished shards are kept: run the same command again "
                    "to go on"
                ) from error

    def _new_actor(self, node: Node) -> _Actor:
        worker = self._ray.remote(RayWorker).options(max_restarts=0, **node.options)
        handle = worker.remote(self._settings, node.workers)
        return _Actor(handle, node, handle.start.remote(__version__))

    def _check(self, actor: _Actor) -> None:
        """Wait until a worker has started, and refuse one that would compute other features."""
        started: Started = self._get(actor.starting)
        actor.starting = None
        actor.name = started.name
        if self._identity is None:
            self._identity = started.identity
            for note in started.notes:
                self._say(note)
        ours = _features(self._identity, preprocessing_identity())
        theirs = _features(started.identity, started.preprocessing)
        if ours != theirs:
            differ = [
                f"{name}: {theirs.get(name)} against {ours[name]}"
                for name in ours
                if ours[name] != theirs.get(name)
            ]
            raise UserError(
                f"--executor ray: {started.name} would compute other features than the first worker or this "
                f"machine ({', '.join(differ)[:300]}). Install the same versions and give the same weights on "
                "all machines, and name a --precision that all have"
            )

    def _get(self, reference: Any) -> Any:
        """Return a result; an error of the worker is raised as the error that it is."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self._ray.wait([reference], timeout=_LOOK_SECONDS)[0]:
            check_stop(self._stop)
            if time.monotonic() > until:
                self._say("ray: still waiting for a worker; `ray status` shows what the cluster has free")
                until = time.monotonic() + 10 * _PATIENCE_SECONDS
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, (VparError, OSError)):
                raise cause from None
            raise CacheError(
                f"a worker failed ({type(cause).__name__}: {str(cause)[:300]}); finished shards are kept: run the "
                "same command again to go on, with --debug for the traceback"
            ) from error
        except self._ray.exceptions.RayActorError:  # a dead worker: the caller's to handle
            raise
        except self._ray.exceptions.RayError as error:
            raise CacheError(
                f"ray failed ({_reason(error)}); finished shards are kept: run the same command again to go on"
            ) from error

    def _end_actors(self) -> None:
        for actor in self._actors:
            for _, lock in actor.tasks.values():
                lock.close()
            self._ray.kill(actor.handle)

    def _tell_rates(self) -> None:
        for actor in self._actors:
            if actor.seconds:
                busy = actor.seconds + actor.waited
                self._say(
                    f"ray: {actor.name}: {count_of(actor.tracklets, 'tracklet')}, "
                    f"{actor.tracklets / busy:.1f} a second, {actor.waited / busy:.0%} of the time without work"
                )


def _features(identity: EncoderIdentity, preprocessing: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the features of a worker."""
    return {**identity.visual, **preprocessing, "text": identity.text, "weights": identity.weights_name}


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@contextmanager
def _probe_file(out: Path) -> Iterator[Path]:
    """Write a file into the folder of shards that every worker must see; remove it at the end."""
    folder = shard_folder(out.absolute())
    probe = folder / f".probe-{secrets.token_hex(8)}"
    with plain_failures(probe):
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    try:
        yield probe
    finally:
        probe.unlink(missing_ok=True)
