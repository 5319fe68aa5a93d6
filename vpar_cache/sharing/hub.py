"""Exported runs on the model hub: from owner/name to a folder in the hub's cache on this machine."""

from __future__ import annotations

import re
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from vpar_cache.backbones.base import quiet
from vpar_cache.backbones.hub import file_failures, hub_settings
from vpar_cache.errors import CacheError
from vpar_cache.sharing.config import CONFIG, MODEL

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_hub_name(text: str) -> bool:
    """Return whether a text may be a name of the hub: two words with a slash between, and no path from here."""
    owner, _, name = text.partition("/")
    return bool(owner and name) and "/" not in name and not text.startswith((".", "~"))


def hub_folder(name: str, offline: bool) -> Path:
    """Return the folder of a run on the hub, fetched into the hub's cache unless it is there.

    `name`: owner/name. `offline`: never ask the hub, as with HF_HUB_OFFLINE=1. Raises CacheError for a malformed
    name, and for a run that is neither here nor on the hub.
    """
    start = f"run {name!r}: no such folder here, and "
    if not all(_PART.fullmatch(part) for part in name.split("/")):
        raise CacheError(
            f"{start}no name of the model hub; expected a folder, or OWNER/NAME of A-Z, 0-9, ., _ and -"
        )
    settings = hub_settings()
    offline = offline or settings.is_offline
    try:
        with file_failures(f"run {name!r}"), quiet():
            config = Path(huggingface_hub.hf_hub_download(name, CONFIG, local_files_only=offline))
            # Of the same revision, also where a new one is published meanwhile.
            huggingface_hub.hf_hub_download(name, MODEL, revision=config.parent.name, local_files_only=offline)
    except HFValidationError as error:
        raise CacheError(f"{start}no name of the model hub ({_line(error)}); expected OWNER/NAME") from error
    except RepositoryNotFoundError as error:
        raise CacheError(
            f"{start}the model hub shows none of that name; check it, and for a private one log in with "
            "`hf auth login`"
        ) from error
    except LocalEntryNotFoundError as error:
        why = "was not asked (offline)" if offline else f"cannot be reached ({_reason(error)})"
        raise CacheError(
            f"{start}it is not whole in the hub's cache {settings.cache}, and the hub {why}; copy the exported "
            f"folder here and give its path, or fetch it with `hf download {name}` where there is a network"
        ) from error
    except EntryNotFoundError as error:
        raise CacheError(
            f"{start}on the model hub it has no {CONFIG} and {MODEL} of `vpar export`; give the name of an "
            "exported run"
        ) from error
    except OSError as error:  # every other error of the network
        raise CacheError(f"{start}the model hub cannot be reached ({_line(error)}); try again later") from error
    return config.parent


def _reason(error: BaseException) -> str:
    """Return the innermost error."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__}: {_line(error)}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
