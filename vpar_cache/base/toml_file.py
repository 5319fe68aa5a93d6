"""TOML files of users."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from vpar_cache.errors import UserError

MAX_BYTES = 100_000
"""The table of MARS would take 3,000."""


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return the parsed file. Raises UserError, which names it `what`, where it cannot be read or parsed."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UserError(
                f"{what} {path}: got over {MAX_BYTES} bytes; expected a short TOML file. Check the path"
            )
        return tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n"))
    except OSError as error:
        raise UserError(f"{what} {path}: {error.strerror}; give a readable TOML file") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} {path} is not valid TOML: {error}") from error
