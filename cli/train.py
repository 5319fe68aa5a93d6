"""`vpar train`: stage 2."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from vpar_cache.errors import UserError
from vpar_cache.models.systems import MODELS

from .console import print_text, say
from .interrupts import stoppable


def train(
    context: typer.Context,
    features: Annotated[
        list[Path] | None,
        typer.Option(
            help="Index of a cache, as in cache/mars.h5; repeat the option to train on several. Default: that of "
            "--from-run."
        ),
    ] = None,
    same_people: Annotated[
        bool,
        typer.Option(
            "--same-people",
            help="Several caches: a person id names the same person in all. Default: they are different people.",
        ),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV with labels and splits, by tracklet_id, for a cache of `vpar predict --keep-features`. "
            "No frame is read."
        ),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="--labels: mars, duke or a TOML file with your attributes. Default: that of the cache."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="--labels: file with the weights of the cache's encoder. Default: as the cache says."),
    ] = None,
    from_run: Annotated[
        Path | None, typer.Option(help="Train this run again, and report whether the metrics are identical.")
    ] = None,
    model: Annotated[str, typer.Option(help=f"{', '.join(MODELS)}. vtf is the paper's.")] = "vtf",
    recipe: Annotated[
        str,
        typer.Option(
            help="strict (validation or held-out train people select), paper (all train people, last epoch, "
            "0.45) or reference (paper, with the settings of the authors' code)."
        ),
    ] = "strict",
    epochs: Annotated[int, typer.Option(help="Passes over the train tracklets.")] = 20,
    batch_size: Annotated[int, typer.Option(help="Tracklets per step.")] = 16,
    lr: Annotated[float, typer.Option(help="Adam's learning rate.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(help="Adam's coupled weight decay.")] = 1e-4,
    schedule: Annotated[
        str | None, typer.Option(help="constant or warmup-cosine. Default: constant; reference: warmup-cosine.")
    ] = None,
    dim: Annotated[int | None, typer.Option(help="Width of the model. Default: 512; reference: 768.")] = None,
    layers: Annotated[int | None, typer.Option(help="Fusion models: blocks. Default: 1.")] = None,
    heads: Annotated[
        int | None, typer.Option(help="Fusion models: attention heads per block. Default: 8; reference: 12.")
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="bce, weighted (by train rates) or ce (one class per group). Default: the model's own."),
    ] = None,
    logit_norm: Annotated[
        bool | None, typer.Option("--logit-norm", help="Fusion models: BatchNorm over the logits.")
    ] = None,
    block_init: Annotated[
        str | None,
        typer.Option(help="Fusion models: copy the last block of a ViT-B/16: imagenet, FILE or random:SEED."),
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(
            help="Fusion models: each attribute reads the picture through a prior over its rows: fixed (by part "
            "of the body) or learned. Default: without."
        ),
    ] = None,
    tune_text: Annotated[
        bool | None,
        typer.Option("--tune-text", help="Fusion models: learn an offset on the embeddings of the prompts."),
    ] = None,
    views: Annotated[
        int | None, typer.Option(help="Stored views to draw from. Default: all in the cache.")
    ] = None,
    val_fraction: Annotated[float, typer.Option(help="strict: share of train people to hold out.")] = 0.1,
    folds: Annotated[
        Path | None,
        typer.Option(
            help="strict: a CSV file with the columns person_id or tracklet_id, and fold. The tracklets of --fold "
            "choose, the other folds train."
        ),
    ] = None,
    fold: Annotated[int | None, typer.Option(help="strict: the fold of --folds that chooses.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto (bf16 where native), bf16 or fp32. Default: auto; reference: fp32.")
    ] = None,
    shuffle: Annotated[
        str,
        typer.Option(
            help="exact (rows of all shards in a random order) or shards (a few shards at a time, read in large "
            "pieces: for a cache larger than memory)."
        ),
    ] = "exact",
    seed: Annotated[int, typer.Option(help="Seed of initial weights, order and held-out people.")] = 0,
    device: Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda:N or mps.")] = "auto",
    name: Annotated[str | None, typer.Option(help="Run folder. Default: dataset-model-seed-xxxxxx.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder for run folders.")] = Path("cache/runs"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run of that name.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start over where an interrupted run would be continued.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never call a model hub (--block-init).")] = False,
) -> None:
    """Train and score a model on a feature cache. Opens no image.

    Stage 2: it writes a run folder. Run the same command again after an interrupt: it goes on from the last
    checkpoint.

    Examples:

        vpar train --features cache/mars.h5
        vpar train --features cache/mars.h5 --model linear --seed 1
        vpar train --from-run RUN
    """
    command = shlex.join(["vpar", *sys.argv[1:]])
    if from_run is not None:
        _refuse_settings(context)
        _repeat(from_run, tuple(features or ()), name, runs, overwrite, device, folds, command)
        return
    if not features:
        raise UserError("--features is missing; give the index of a cache, as in --features cache/mars.h5")
    from vpar_cache.training.config import TrainConfig

    config = TrainConfig.of_recipe(
        recipe,
        features=tuple(features),
        same_people=same_people,
        runs=runs,
        name=name,
        overwrite=overwrite,
        restart=restart,
        model=model,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        schedule=schedule,
        dim=dim,
        layers=layers,
        heads=heads,
        loss=loss,
        logit_norm=logit_norm,
        block_init=block_init,
        parts=parts,
        tune_text=tune_text,
        views=views,
        val_fraction=val_fraction,
        folds=folds,
        fold=fold,
        precision=precision,
        shuffle=shuffle,
        seed=seed,
        device=device,
        offline=offline,
    )
    _add_labels(config.caches, labels, schema, weights, offline)
    from vpar_cache.training.train import train as train_run  # after the settings are checked: it imports torch

    with stoppable() as stop:
        result = train_run(config, command=command, say=say, stop=stop)
    for line in result.verdict.splitlines():
        say(line)
    say(f"{result.model} in {result.seconds:.1f} s; tables: vpar report {result.folder}")
    print_text(f"{result.folder}\n")


def _add_labels(
    caches: tuple[Path, ...], labels: Path | None, schema: str | None, weights: str | None, offline: bool
) -> None:
    """Write the labels of --labels into the cache."""
    if labels is None:
        if schema is not None or weights is not None:
            option = "--schema" if schema is not None else "--weights"
            raise UserError(f"{option}: only --labels reads it; leave it out")
        return
    if len(caches) != 1:
        raise UserError(f"--labels: got {len(caches)} caches in --features; expected one. Label them one by one")
    from vpar_cache.workflows.label_cache import LabelConfig, label_cache

    label_cache(caches[0], LabelConfig(labels, schema, weights, offline), say)


def _refuse_settings(context: typer.Context) -> None:
    """Refuse settings beside --from-run, which reuses those of the run."""
    places = {"from_run", "features", "name", "runs", "overwrite", "device", "folds"}
    for parameter in context.params:
        source = context.get_parameter_source(parameter)
        if parameter not in places and source is not None and source.name == "COMMANDLINE":
            option = "--" + parameter.replace("_", "-")
            raise UserError(
                f"{option} cannot be combined with --from-run, which reuses that run's settings; leave one out"
            )


def _repeat(
    run: Path,
    features: tuple[Path, ...],
    name: str | None,
    runs: Path,
    overwrite: bool,
    device: str,
    folds: Path | None,
    command: str,
) -> None:
    """Repeat a run. The exit status is 1 when the metrics differ."""
    from vpar_cache.workflows.repeat import repeat_run

    with stoppable() as stop:
        result = repeat_run(
            run,
            features=features,
            name=name,
            runs=runs,
            overwrite=overwrite,
            device=device,
            folds=folds,
            command=command,
            say=say,
            stop=stop,
        )
    print_text(f"{result.run.folder}: {result.verdict}\n")
    if result.differences:
        raise typer.Exit(1)
