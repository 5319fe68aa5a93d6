"""TOML files of users: read within bounds, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vpar_cache.errors import UserError

MAX_BYTES = 100_000
"""The table of MARS would take 3,000."""
MAX_DOTS = 200
"""In a line: a key of many parts costs the parser quadratic time and memory, gigabytes for 100 kB."""


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The parsed file. UserError, which calls it `what`, where it cannot be read or is no TOML."""
    import tomllib  # here, since most commands read none

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UserError(f"{what} {path} is over {MAX_BYTES} bytes; is this the right file?")
        if any(line.count(b".") > MAX_DOTS for line in data.split(b"\n")):
            raise UserError(f"{what} {path} has a line of over {MAX_DOTS} dots; break it, or use shorter keys")
        return tomllib.loads(data.decode("utf-8").replace("\r\n", "\n"))
    except OSError as error:
        raise UserError(f"{what} {path}: {error.strerror}; give a readable TOML file") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a number of too many digits
        raise UserError(f"{what} {path} is no TOML: {error}") from error
