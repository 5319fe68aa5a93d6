"""The executor that the settings name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from vpar_cache.base.callbacks import Say, Stop
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors.interface import Executor
from vpar_cache.extraction.executors.local import LocalExecutor


def make_executor(config: ExtractConfig, pool: ThreadPoolExecutor, say: Say, stop: Stop) -> Executor:
    """Return the executor of these settings; nothing is started. `pool`: threads that decode in this process."""
    if config.executor == "ray":
        from vpar_cache.extraction.executors.ray_actors import RayExecutor

        return RayExecutor(config, say, stop)
    return LocalExecutor(config, pool, say, stop)
