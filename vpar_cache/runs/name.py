"""The name of a run, which is the name of its folder."""

from __future__ import annotations

import re

from vpar_cache.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OTHER = re.compile(r"[^A-Za-z0-9._-]+")


def check_run_name(name: str) -> None:
    """Raise UserError for a name that is not safe as the name of a folder."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"--name: got {name!r}; expected at most 100 letters, digits, dots, dashes or underscores, and a "
            "letter or a digit first"
        )


def default_run_name(dataset: str, model: str, seed: int, fingerprint: str) -> str:
    """Return DATASET-MODEL-SEED-xxxxxx, where xxxxxx begins the fingerprint of settings and cache."""
    place = _OTHER.sub("-", dataset).strip("._-")[:60] or "dataset"
    return f"{place}-{model}-{seed}-{fingerprint[:6]}"
