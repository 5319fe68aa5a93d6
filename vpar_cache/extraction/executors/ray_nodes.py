"""Where the workers of a Ray cluster run, and what each gets there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vpar_cache.errors import UserError, count_of
from vpar_cache.extraction.config import ExtractConfig


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    workers: int
    options: dict[str, Any]
    """Of each worker: where Ray starts it, and what it needs there."""


def find_nodes(ray: Any, config: ExtractConfig) -> list[Node]:
    """Return the machines that get workers: one on each GPU, or some on the cores of each. UserError for none."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    alive = [node for node in ray.nodes() if node["Alive"]]
    on_cores = config.devices[0] == "cpu" or config.workers_per_node is not None
    nodes = []
    for node in alive:
        cores, gpus = (int(node["Resources"].get(name, 0)) for name in ("CPU", "GPU"))
        workers = (config.workers_per_node or 1) if on_cores else gpus
        if not workers or not cores:
            continue
        share = cores // workers or cores / workers  # Ray takes whole numbers, and parts of one
        needs: dict[str, Any] = {"num_cpus": share} if on_cores else {"num_cpus": 1, "num_gpus": 1}
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        nodes.append(Node(workers, {**needs, "scheduling_strategy": strategy}))
    if not nodes:
        what = "cores for tasks" if on_cores else "GPU"
        advice = "start it with --num-cpus" if on_cores else "use --device cpu with --workers-per-node N"
        raise UserError(f"--executor ray: the cluster ({count_of(len(alive), 'machine')}) has no {what}; {advice}")
    return nodes
