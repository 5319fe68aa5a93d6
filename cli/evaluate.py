"""`vpar evaluate`: score a trained run on another cache."""

from pathlib import Path
from typing import Annotated

import typer

from .console import print_document


def evaluate(
    run: Annotated[Path, typer.Option(help="The run folder, or its name under --runs.")],
    features: Annotated[
        list[Path] | None,
        typer.Option(
            help="Index of the cache to score on, as in cache/mars.h5; repeat the option to score on each of "
            "several. Default: those of the run."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="test, validation, train or all of its tracklets.")] = "test",
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("cache/runs"),
    format: Annotated[str, typer.Option(help="rich, markdown, csv or json.")] = "rich",
) -> None:
    """Score a trained run on other caches, without training.

    The numbers are over the outputs that both have.

    Examples:

        vpar evaluate --run RUN --features cache/duke.h5
        vpar evaluate --run RUN --features cache/duke.h5 --split all
    """
    from vpar_cache.rendering.formats import check_format
    from vpar_cache.workflows.evaluate import evaluate_on_each

    check_format(format)
    print_document(evaluate_on_each(run, tuple(features or ()), split=split, runs=runs), format)
