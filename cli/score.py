"""`vpar score`: score the predictions of any program under both protocols."""

from pathlib import Path
from typing import Annotated

import typer

from .console import print_document, say


def score(
    file: Annotated[
        Path, typer.Argument(help="A parquet file: tracklet_id (text), probabilities, labels (lists).")
    ],
    schema: Annotated[str, typer.Option(help="mars, duke, or a TOML file: the order of the lists.")] = "mars",
    format: Annotated[str, typer.Option(help="rich, markdown, csv or json.")] = "rich",
) -> None:
    """Score predictions of any program under both protocols."""
    from vpar_cache.attributes.built_in import load_schema
    from vpar_cache.reporting.score import score as score_file

    result = score_file(file, load_schema(schema))
    print_document(result, format)
    for note in result.notes:
        say(note)
