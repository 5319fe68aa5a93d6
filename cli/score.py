"""`vpar score`: score the predictions of any program under all four protocols."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vpar_cache.errors import UserError

from .console import print_document, say


def score(
    file: Annotated[
        Path, typer.Argument(help="A Parquet or CSV file: tracklet_id, probabilities, labels (lists).")
    ],
    schema: Annotated[
        str | None,
        typer.Option(
            help="mars, duke, or a TOML file: the order of the lists. Default: that of a table of `vpar predict`, "
            "else mars."
        ),
    ] = None,
    train_labels: Annotated[
        Path | None,
        typer.Option(help="A Parquet or CSV file of train labels (tracklet_id, labels), for the best constant."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="mars, duke: the dataset's folder, whose train labels choose the best constant."),
    ] = None,
    format: Annotated[str, typer.Option(help="rich, markdown, csv or json.")] = "rich",
) -> None:
    """Score predictions of any program under all four protocols.

    Examples:

        vpar score predictions.parquet
        vpar score predictions.csv --schema mars --root MARS
    """
    from vpar_cache.attributes.built_in import load_schema
    from vpar_cache.reporting.score import read_train_labels, schema_of
    from vpar_cache.reporting.score import score as score_file

    found = (schema_of(file) if schema is None else None) or load_schema(schema or "mars")
    if train_labels is not None and root is not None:
        raise UserError("--train-labels cannot be combined with --root: both give train labels; leave one out")
    train = None
    if train_labels is not None:
        train = read_train_labels(train_labels, found)
    elif root is not None:
        train = _train_labels_of(found, root)
    result = score_file(file, found, train)
    print_document(result, format)
    for note in result.notes:
        say(note)


def _train_labels_of(schema: Any, root: Path) -> Any:
    """Return what the train labels of a dataset give. MARS needs no images for it."""
    import numpy as np

    from vpar_cache.attributes.built_in import load_schema
    from vpar_cache.datasets.duke import load_duke
    from vpar_cache.datasets.mars import read_lists
    from vpar_cache.metrics.evaluation import baselines

    if schema.name not in ("mars", "duke") or schema.groups != load_schema(schema.name).groups:
        raise UserError(
            f"--root: got {root} with the schema {schema.name}; only mars and duke read it. Use --train-labels"
        )
    tracklets = read_lists(root)[0] if schema.name == "mars" else load_duke(root).tracklets
    train = [tracklet for tracklet in tracklets if tracklet.split == "train"]
    labels = np.stack([tracklet.labels for tracklet in train])  # (N, A)
    known = np.stack([tracklet.known_labels() for tracklet in train])  # (N, A)
    return baselines(labels, schema.named_slices(), known=known)
