"""The name of a run, which is the name of its folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vpar_cache.base.hashing import fingerprint
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


def run_fingerprint(settings: Mapping[str, Any], seal: str) -> str:
    """Return the fingerprint of a run's settings and of every byte of its cache, which `seal` stands for."""
    return fingerprint({**settings, "features": seal})


def default_run_name(dataset: str, model: str, seed: int, run_fingerprint: str) -> str:
    """Return DATASET-MODEL-SEED-xxxxxx, the last part six hex digits of the fingerprint."""
    place = _OTHER.sub("-", dataset).strip("._-")[:60] or "dataset"
    return f"{place}-{model}-{seed}-{run_fingerprint[:6]}"


def natural_order(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return a key that sorts names as people count: run 2 before run 10."""
    parts = re.split("([0-9]+)", name)  # text and digits take turns
    digits = [part.lstrip("0") for part in parts]
    return [(len(digits[i]), digits[i]) if i % 2 else part for i, part in enumerate(parts)], name
