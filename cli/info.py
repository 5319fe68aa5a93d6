"""`vpar info`: what a cache holds."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from vpar_cache.base.checks import check_choice
from vpar_cache.errors import printable

from .console import print_text, stdout_width


def info(
    index: Annotated[Path, typer.Argument(help="The index of a cache, as in cache/mars.h5.")],
    format: Annotated[str, typer.Option(help="rich or json.")] = "rich",
) -> None:
    """Print what a cache holds: data, arrays, backbone, settings.

    Examples:

        vpar info cache/mars.h5
        vpar info cache/mars.h5 --format json
    """
    from vpar_cache.cache.info import describe_cache

    check_choice("--format", format, ("rich", "json"))
    described = describe_cache(index)
    if format == "json":
        print_text(json.dumps(described, indent=2) + "\n")
        return
    rows = {name.replace("_", " "): _shown(value) for name, value in described.items()}
    print_text("".join(f"{line}\n" for line in _lines(rows, stdout_width())))


def _lines(rows: dict[str, str], width: int | None) -> Iterator[str]:
    """Yield a line for each name and value, broken at spaces alone: a fingerprint can be copied at any width."""
    indent = " " * (max(map(len, rows)) + 2)
    for name, value in rows.items():
        first = name.ljust(len(indent))
        for part in value.split("\n"):
            if width is None or len(first) + len(part) <= width:
                lines = [part]
            elif max(map(len, part.split(" "))) > width - len(indent):
                yield first.rstrip()  # a long word gets a line of its own
                first, lines = "  ", _wrapped(part, width - 2)
            else:
                lines = _wrapped(part, width - len(indent))
            for line in lines:
                yield (first + line).rstrip()
                first = " " * len(first)
            first = indent


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _shown(value: Any) -> str:
    if value is None:
        return "unknown"
    if value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_shown(item)}" for name, item in value.items())
    if isinstance(value, list) and value and isinstance(value[0], int):
        return " x ".join(str(item) for item in value)
    if isinstance(value, list):
        return "\n".join(_shown(item) for item in value)
    return printable(str(value))
