"""`vpar init` and `vpar check`: data of your own."""

from pathlib import Path
from typing import Annotated

import typer

from vpar_cache.errors import printable

from .console import print_text, say


def check(
    dir: Annotated[Path, typer.Argument(help="The folder that `vpar init` started.")],
    labels: Annotated[Path | None, typer.Option(help="The CSV file of labels. Default: DIR/labels.csv.")] = None,
    schema: Annotated[
        str | None, typer.Option(help="mars, duke, or a TOML file with your attributes. Default: DIR/schema.toml.")
    ] = None,
    follow_links: Annotated[
        Path | None, typer.Option(help="Also take frames that are links into this folder. Default: none.")
    ] = None,
) -> None:
    """List all that is wrong with your own data, before any encoding.

    Exit status 0: nothing found; 1: each line on stdout is a finding.
    """
    from vpar_cache.datasets.own.check import check_dataset, summary

    checked = check_dataset(dir, labels, schema, follow_links)
    print_text("".join(f"{printable(' '.join(finding.split()))}\n" for finding in checked.findings))
    say(summary(checked))
    if checked.findings:
        raise typer.Exit(1)
