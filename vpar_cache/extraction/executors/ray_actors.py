"""Compute shards on a Ray cluster: an actor on each GPU, or several on the cores of each machine.

Actors build the encoder once and take shard tasks, two at a time each, so that none waits for the driver. Rows
never pass through Ray: an actor writes them to the shared folder and returns a receipt.
"""

from __future__ import annotations

import secrets
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
from vpar_cache.errors import CacheError, UserError, VparError, count_of
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import EncoderIdentity
from vpar_cache.extraction.executors.interface import Done, Received
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


@dataclass
class _Actor:
    handle: Any
    place: Any
    """Where Ray shall start it, and another one if it dies."""
    name: str = ""
    tasks: dict[Any, tuple[ShardTask, ExitStack]] = field(default_factory=dict)
    """By the reference of the outcome."""
    tracklets: int = 0
    seconds: float = 0.0
    waited: float = 0.0


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
        places = self._places()
        self._say(f"ray: starting {count_of(len(places), 'worker')}")
        local = replace(
            self._config,
            out=self._config.out.absolute(),
            executor="local",
            ray_address=None,
            workers_per_node=None,
        )
        self._settings = self._ray.put((local, probe))
        self._actors = [self._new_actor(place) for place in places]
        started = [actor.handle.start.remote(__version__) for actor in self._actors]  # all at once
        for actor, reference in zip(self._actors, started, strict=True):
            self._check(actor, reference)
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
        while True:
            for actor in self._actors:
                while len(actor.tasks) < IN_FLIGHT and (free := again.popleft() if again else todo.take()):
                    actor.tasks[actor.handle.run.remote(shared_plan, free[0])] = free
            running = {reference: actor for actor in self._actors for reference in actor.tasks}
            if not running:
                if not todo.wait_for_others():
                    break
                continue
            check_stop(self._stop)
            finished, _ = self._ray.wait(list(running), timeout=_LOOK_SECONDS)
            for reference in finished:
                actor = running[reference]
                if reference in actor.tasks:
                    self._finish(actor, reference, again, received, done)
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
        received(outcome.receipt)
        done(len(task.sources))

    def _replace(self, actor: _Actor, again: deque[tuple[ShardTask, ExitStack]]) -> None:
        """Start another worker, and give its tasks back: the first one was being computed when it died."""
        first, *others = actor.tasks.values()
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
        new = self._new_actor(actor.place)
        self._check(new, new.handle.start.remote(__version__))
        self._actors[self._actors.index(actor)] = new

    def _places(self) -> list[dict[str, Any]]:
        """Return for each worker the options that tell Ray where to start it."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        if self._config.devices[0] == "cpu" or self._config.workers_per_node is not None:
            workers = self._config.workers_per_node or 1
            return [
                {
                    "num_cpus": node["Resources"].get("CPU", 0) / workers,
                    "scheduling_strategy": NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
                }
                for node in nodes
                for _ in range(workers)
            ]
        num_gpus = int(sum(node["Resources"].get("GPU", 0) for node in nodes))
        if not num_gpus:
            raise UserError(
                f"--executor ray: {count_of(len(nodes), 'machine')} of the cluster have no GPU; use --device cpu "
                "with --workers-per-node N to compute on their cores"
            )
        return [{"num_cpus": 1, "num_gpus": 1}] * num_gpus

    def _new_actor(self, place: dict[str, Any]) -> _Actor:
        on_this_machine = 1 if "num_gpus" in place else self._config.workers_per_node or 1
        worker = self._ray.remote(RayWorker).options(max_restarts=0, **place)
        return _Actor(worker.remote(self._settings, on_this_machine), place)

    def _check(self, actor: _Actor, reference: Any) -> None:
        """Wait until a worker has started, and refuse one that would compute other features."""
        started: Started = self._get(reference)
        actor.name = started.name
        if self._identity is None:
            self._identity = started.identity
            for note in started.notes:
                self._say(note)
        elif started.identity != self._identity:
            ours = {**self._identity.visual, "weights": self._identity.weights_name}
            theirs = {**started.identity.visual, "weights": started.identity.weights_name}
            names = [name for name in ours if ours[name] != theirs.get(name)]
            raise UserError(
                f"--executor ray: {started.name} would compute other features than {self._actors[0].name} "
                f"({', '.join(f'{name}: {theirs.get(name)} against {ours[name]}' for name in names)}). Install "
                "the same versions and give the same weights on all machines"
            )

    def _get(self, reference: Any) -> Any:
        """Return a result; an error of the worker is raised as the error that it is."""
        while not self._ray.wait([reference], timeout=_LOOK_SECONDS)[0]:
            check_stop(self._stop)
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
