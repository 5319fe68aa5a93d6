"""`vpar report`: tables of runs beside the published rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import print_document, say


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(report)


def report(
    run: Annotated[
        list[Path] | None, typer.Argument(help="Run folders, or their names. Default: all finished runs.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("cache/runs"),
    format: Annotated[str, typer.Option(help="rich, markdown, csv or json.")] = "rich",
) -> None:
    """Table 1 and Table 2: published rows, the prior, and your runs, each under its protocol."""
    from vpar_cache.report import build_report

    built = build_report(run or [], runs)
    print_document(built, format)
    for note in built.notes:
        say(note)
