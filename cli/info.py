"""`vpar info`: what a cache holds."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vpar_cache.base.checks import check_choice
from vpar_cache.errors import printable

from .console import print_blocks, print_text


def info(
    index: Annotated[Path, typer.Argument(help="The index of a cache, as in cache/mars.h5.")],
    format: Annotated[str, typer.Option(help="rich or json.")] = "rich",
) -> None:
    """Print what a cache holds: data, arrays, backbone, settings, fingerprints."""
    from rich.table import Table
    from rich.text import Text

    from vpar_cache.cache.info import describe_cache

    check_choice("--format", format, ("rich", "json"))
    described = describe_cache(index)
    if format == "json":
        print_text(json.dumps(described, indent=2) + "\n")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in described.items():
        table.add_row(Text(name.replace("_", " "), style="bold"), Text(_shown(value)))
    print_blocks([table])


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
