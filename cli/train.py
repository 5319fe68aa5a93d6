"""`vpar train`: stage 2."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from .console import print_text, say


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(train)


def train(
    features: Annotated[Path, typer.Option(help="The index of a cache, as in cache/mars.h5.")],
    model: Annotated[str, typer.Option(help="vtf (the paper), linear (without fusion) or prior.")] = "vtf",
    epochs: Annotated[int, typer.Option(help="Passes over the train tracklets.")] = 20,
    batch_size: Annotated[int, typer.Option(help="Tracklets per step.")] = 16,
    lr: Annotated[float, typer.Option(help="Adam's learning rate.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(help="Adam's coupled weight decay.")] = 1e-4,
    dim: Annotated[int, typer.Option(help="vtf: width of the fusion Transformer.")] = 512,
    layers: Annotated[int, typer.Option(help="vtf: fusion blocks.")] = 1,
    heads: Annotated[int, typer.Option(help="vtf: attention heads per block.")] = 8,
    loss: Annotated[str, typer.Option(help="bce, or weighted by each output's train rate.")] = "bce",
    logit_norm: Annotated[bool, typer.Option("--logit-norm", help="vtf: BatchNorm over the logits.")] = False,
    views: Annotated[
        int | None, typer.Option(help="Stored views to draw from. Default: all of the cache.")
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(help="strict (held-out train people choose epoch, threshold) or paper (last, 0.45)."),
    ] = "strict",
    val_fraction: Annotated[float, typer.Option(help="strict: share of train people held out.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of initial weights, order and held-out people.")] = 0,
    device: Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu or cuda:N.")] = "auto",
    name: Annotated[str | None, typer.Option(help="Run folder. Default: dataset-model-seed-xxxxxx.")] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("cache/runs"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run of that name.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
) -> None:
    """Stage 2: train and evaluate a model on cached features. No image is opened."""
    from vpar_cache.train_config import TrainConfig

    config = TrainConfig(
        features=features,
        runs=runs,
        name=name,
        overwrite=overwrite,
        resume=resume,
        model=model,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        dim=dim,
        layers=layers,
        heads=heads,
        loss=loss,
        logit_norm=logit_norm,
        views=views,
        protocol=protocol,
        val_fraction=val_fraction,
        seed=seed,
        device=device,
    )
    from vpar_cache.train import train_model  # after the settings are checked: it imports torch

    result = train_model(config, shlex.join(["vpar", *sys.argv[1:]]), say)
    say(f"{result.model} in {result.seconds:.1f} s; tables: vpar report {result.folder}")
    print_text(f"{result.folder}\n")
