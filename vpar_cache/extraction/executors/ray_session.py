"""A connection to a Ray cluster, or to one that is started on this machine for the time of a command."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from vpar_cache.errors import UserError

_ANSWER_SECONDS = 5.0
"""To wait for an answer at an address. Ray itself waits for minutes, and then ends the process."""


@contextmanager
def ray_session(address: str | None) -> Iterator[Any]:
    """Connect to Ray and yield its module; disconnect at the end.

    `address`: `auto` for the cluster that runs here, HOST:PORT of a cluster's head, `local` for a new one on this
    machine. None: RAY_ADDRESS, or the cluster that runs here, or a new one. UserError where Ray is not installed
    or nothing answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use over the network
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray starts workers at 15, so that other work starves them
    try:
        import ray
    except ImportError as error:
        raise UserError(
            f"--executor ray: the package ray cannot be imported ({error}); install it with "
            "`pip install 'vpar-cache[ray]'`, or leave out --executor"
        ) from error
    _check_address(address or os.environ.get("RAY_ADDRESS"))
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=None)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise UserError(
            f"--ray-address: got {address or 'none'}; no cluster can be used there ({reason}). Start one with "
            "`ray start --head`, or leave out --ray-address"
        ) from error
    with redirect_stdout(sys.stderr):  # Ray tells of dead workers on stdout, where results belong
        try:
            yield ray
        finally:
            ray.shutdown()


def _check_address(address: str | None) -> None:
    """Raise UserError where nothing answers at HOST:PORT."""
    if address in (None, "auto", "local"):
        return
    host, _, port = str(address).rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise UserError(f"--ray-address: got {str(address)[:100]!r}; expected auto, local or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--ray-address: got {address}; nothing answers there ({error}). Expected the address of a cluster's "
            "head, as `ray start --head` prints it"
        ) from error
