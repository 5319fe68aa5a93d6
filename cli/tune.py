"""`vpar tune`: search the settings of stage 2."""

from pathlib import Path
from typing import Annotated

import typer

from .console import print_document, say
from .interrupts import stoppable


def tune(
    features: Annotated[
        list[Path], typer.Option(help="Index of a cache, as in cache/mars.h5; repeat the option to use several.")
    ],
    trials: Annotated[int, typer.Option(help="Trials in all, those of earlier calls among them.")] = 20,
    search: Annotated[
        Path | None, typer.Option(help="TOML file of the settings to search. Default: see docs/tune.md.")
    ] = None,
    same_people: Annotated[
        bool, typer.Option("--same-people", help="As for `vpar train`: person ids of several caches name people.")
    ] = False,
    model: Annotated[str, typer.Option(help="A model of `vpar train`.")] = "vtf",
    epochs: Annotated[int, typer.Option(help="Passes over the train tracklets.")] = 20,
    val_fraction: Annotated[float, typer.Option(help="Share of train people to hold out as judges.")] = 0.1,
    folds: Annotated[Path | None, typer.Option(help="As for `vpar train`: the tracklets of --fold judge.")] = None,
    fold: Annotated[int | None, typer.Option(help="The fold of --folds that judges.")] = None,
    precision: Annotated[str, typer.Option(help="auto (bf16 where native), bf16 or fp32.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the trainings and of what is tried.")] = 0,
    device: Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda:N or mps.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder for searches.")] = Path("cache/tune"),
    executor: Annotated[str, typer.Option(help="local, or ray: trials side by side.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="auto, local or HOST:PORT. Default: a cluster that runs here, or a new one.")
    ] = None,
    format: Annotated[str, typer.Option(help="rich, markdown, csv or json.")] = "rich",
) -> None:
    """Search the settings of a training by the F1 of held-out people.

    The test split is not read. Run it again to go on.

    Examples:

        vpar tune --features cache/mars.h5
        vpar tune --features cache/mars.h5 --trials 50 --search search.toml
    """
    from vpar_cache.rendering.formats import check_format
    from vpar_cache.training.config import TrainConfig

    check_format(format)  # before hours of work
    base = TrainConfig(
        features=features,
        same_people=same_people,
        model=model,
        epochs=epochs,
        val_fraction=val_fraction,
        folds=folds,
        fold=fold,
        precision=precision,
        seed=seed,
        device=device,
    )
    from vpar_cache.workflows.tune import TuneConfig  # imports torch, so after the settings are checked
    from vpar_cache.workflows.tune import tune as run_tune

    config = TuneConfig(
        base=base, trials=trials, search=search, out=out, executor=executor, ray_address=ray_address
    )
    with stoppable() as stop:
        result = run_tune(config, say=say, stop=stop)
    print_document(result, format)
    say(f"trials: {result.folder / 'trials.db'}; picture: {result.folder / 'trials.png'}")
    say(f"train the best: {result.command}")
    if result.lost:
        raise typer.Exit(1)
