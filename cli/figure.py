"""`vpar figure`: pictures of predictions and of attention."""

from pathlib import Path
from typing import Annotated

import typer

from .console import print_text
from .extract import FollowLinks, Grouping, TestLabels


def figure(
    run: Annotated[Path, typer.Argument(help="A run folder, or its name.")],
    dataset: Annotated[
        str, typer.Option(help="Layout of the data: mars, duke, market, pa100k, images, folder or demo.")
    ],
    out: Annotated[Path, typer.Option(help="The PNG, PDF or SVG file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
    root: Annotated[Path | None, typer.Option(help="The dataset's folder. Default: data/DATASET.")] = None,
    tracklet: Annotated[
        list[str] | None,
        typer.Option(help="A test tracklet; repeat the option for more. Default: four, spread evenly."),
    ] = None,
    attention: Annotated[
        list[str] | None,
        typer.Option(help="Draw where this output looks, as in backpack; repeat the option for more."),
    ] = None,
    features: Annotated[
        list[Path] | None,
        typer.Option(
            help="With --attention: the index of the run's cache; repeat it for a run of several. Default: "
            "those of run.json."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="folder, images: the CSV file of labels. Default: ROOT/labels.csv, or for images ROOT/train.csv."
        ),
    ] = None,
    test_labels: TestLabels = None,
    group: Grouping = None,
    follow_links: FollowLinks = None,
    schema: Annotated[
        str | None,
        typer.Option(
            help="folder, images: a built-in name, as in mars, or a TOML file with your attributes. Default: "
            "mars, or for images each column of the label file."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="demo: seed of its drawings.")] = 0,
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("cache/runs"),
) -> None:
    """Draw tracklets with predictions, or where an attribute looks.

    The pictures show people.

    Examples:

        vpar figure RUN --dataset mars --root MARS --out people.png
        vpar figure RUN --dataset mars --root MARS --attention hat --out hat.png
    """
    from vpar_cache.pictures.figure import FigureConfig, draw_figure

    config = FigureConfig(
        run=run,
        runs=runs,
        dataset=dataset,
        root=root or Path("data") / dataset,
        out=out,
        overwrite=overwrite,
        labels=labels,
        test_labels=test_labels,
        group=group,
        follow_links=follow_links,
        schema=schema,
        seed=seed,
        tracklets=tuple(tracklet or ()),
        attention=tuple(attention or ()),
        features=tuple(features or ()),
    )
    print_text(f"{draw_figure(config)}\n")
