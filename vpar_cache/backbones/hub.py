"""How the libraries fetch weights: from the model hub or its cache here, and what can go wrong there."""

from __future__ import annotations

import errno
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import torch

from vpar_cache.backbones.base import quiet
from vpar_cache.backbones.weights import DAMAGED
from vpar_cache.base.files import SYSTEM_FIXES
from vpar_cache.errors import UserError

_SPACE = "free some space there or raise your quota, or set HF_HOME to a folder on another disk"
_RIGHTS = "get the right to it, or set HF_HOME to a folder that you may write"
_FIXES = {
    **SYSTEM_FIXES,
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.ENOENT: "make that folder, or set HF_HOME to another one",
    errno.ENOTDIR: "set HF_HOME to a folder",
    errno.ENAMETOOLONG: "set HF_HOME to a folder with a shorter name",
    errno.ELOOP: "repair the link, or set HF_HOME to another folder",
}
"""What the user can do about each error of this machine's files."""
_OF_NETWORKS_TOO = (errno.EACCES, errno.EPERM, errno.ENOENT)
"""Errors that a network gives too: they are of a file only where they name one."""


class NotHereError(UserError):
    """Weights are not on this machine, and could not be fetched or were not to be fetched."""

    on_hub = True
    """Whether they would come from the model hub, not from another server."""


@dataclass(frozen=True)
class HubSettings:
    """What the environment says about the model hub."""

    address: str
    cache: Path
    """Where fetched files are kept."""
    is_offline: bool
    """Whether a variable (HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE) forbids to ask it."""


def hub_settings() -> HubSettings:
    """Return where the model hub is, and where its files are kept on this machine."""
    constants = huggingface_hub.constants
    return HubSettings(constants.ENDPOINT, Path(constants.HF_HUB_CACHE), bool(constants.HF_HUB_OFFLINE))


def hub_problem(address: str, seconds: float) -> str:
    """Return why the hub does not answer within `seconds`, empty where it does. Nothing is fetched."""
    problem = [f"no answer in {seconds:g} seconds"]

    def ask() -> None:
        try:
            urllib.request.build_opener(_NoRedirect).open(
                urllib.request.Request(address, method="HEAD"), timeout=seconds
            ).close()
            problem[0] = ""
        except urllib.error.HTTPError as error:  # a redirect too: somebody answers
            refused = error.code in (403, 407, 451) or error.code >= 500
            problem[0] = f"its answer is status {error.code}" if refused else ""
            error.close()
        except (OSError, ValueError) as error:
            problem[0] = str(getattr(error, "reason", error))[:200]

    thread = threading.Thread(target=ask, daemon=True)  # to look a name up may take longer than any timeout
    thread.start()
    thread.join(seconds + 0.5)
    return problem[0]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Take a redirect for the answer."""

    def redirect_request(self, *_: object) -> None:
        return None


@contextmanager
def hub(weights: str, name: str, offline: bool, on_hub: bool) -> Iterator[None]:
    """Let a library ask the model hub inside the block, unless `offline`.

    `on_hub`: False for weights that the library would download from elsewhere, which no setting of the hub stops.
    Raises UserError when the weights cannot be loaded: whether for want of the hub, or of space or rights here.
    """
    if offline and not on_hub:
        error = _unreachable(weights, name, offline, None)
        error.on_hub = False
        raise error
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = before or offline
    try:
        with file_failures(f"--weights: {weights!r} of {name}", on_hub), quiet():
            yield
    except (RuntimeError, OSError) as error:
        raise _unreachable(weights, name, offline, error) from error
    except DAMAGED as error:
        raise UserError(
            f"--weights: {weights!r} of {name}, in the model hub's cache on this machine, is damaged or not a "
            "file of tensors, and was not loaded; delete it there, or give a local --weights FILE.safetensors"
        ) from error
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before


@contextmanager
def file_failures(what: str, on_hub: bool = True) -> Iterator[None]:
    """Turn an error of this machine's files in the block into a UserError: number, path, what to do.

    Also where a library raises another error in its place. Errors of the network pass. `on_hub`: as in `hub`;
    what comes from elsewhere lies in torch's own cache.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        cause = _file_error(error)
        if cause is None or cause.errno is None:
            raise
        # A write that does not fit has no path: then it is the cache that was written.
        written = huggingface_hub.constants.HF_HUB_CACHE if on_hub else torch.hub.get_dir()
        path = cause.filename if isinstance(cause.filename, str) else written
        fix = _FIXES[cause.errno].replace("HF_HOME", "HF_HOME" if on_hub else "TORCH_HOME")
        raise UserError(f"{what}: {path}: {os.strerror(cause.errno)} (error {cause.errno}); {fix}") from error


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from, the outermost first."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _file_error(error: BaseException) -> OSError | None:
    """Return the error of a file from which this one was raised, None where there is none."""
    for link in _chain(error):
        if not isinstance(link, OSError) or link.errno not in _FIXES:
            continue
        if link.filename is not None or link.errno not in _OF_NETWORKS_TOO:
            return link
    return None


def _unreachable(weights: str, name: str, offline: bool, error: BaseException | None) -> NotHereError:
    """Return the error for weights that are neither here nor on the hub, with the innermost reason where known."""
    *_, last = _chain(error) if error is not None and not offline else [None]
    reason = "" if last is None else f" ({type(last).__name__}: {str(last)[:200]})"
    return NotHereError(
        f"--weights: {weights!r} of {name} is not on this machine and the model hub "
        f"{'was not asked (--offline)' if offline else f'cannot be reached{reason}'}; give a local file with "
        "--weights FILE.safetensors, or try the program with --weights random:0 (features without meaning)"
    )
