"""`vpar benchmark`: every system of the paper's tables on one dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vpar_cache.errors import UserError

from .console import print_document, say
from .extract import Grouping
from .interrupts import stoppable

if TYPE_CHECKING:
    from vpar_cache.workflows.benchmark import BenchmarkConfig


def benchmark(
    dataset: Annotated[
        str, typer.Option(help="Layout of the data: mars, duke, market, pa100k, images, folder or demo.")
    ],
    root: Annotated[Path | None, typer.Option(help="The dataset's folder. Default: data/DATASET.")] = None,
    group: Grouping = None,
    out: Annotated[Path, typer.Option(help="Folder for caches and runs.")] = Path("cache"),
    models: Annotated[
        str | None,
        typer.Option(help="Systems to compare, as in vtf,linear. Default: all; against the paper: vtf,linear."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each trained system, each with another seed.")] = 3,
    weights: Annotated[
        str | None, typer.Option(help="Weights of all backbones, as in random:0. Default: their own.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames per tracklet; 1 makes an image benchmark.")] = 6,
    views: Annotated[int, typer.Option(help="Augmented draws to store for each train tracklet.")] = 0,
    recipe: Annotated[str | None, typer.Option(help="strict or paper. Default: strict.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the train tracklets.")] = 20,
    lr: Annotated[float, typer.Option(help="Adam's learning rate.")] = 1e-3,
    limit: Annotated[int | None, typer.Option(help="Use only this many tracklets, spread evenly.")] = None,
    max_bad: Annotated[int, typer.Option(help="How many unusable tracklets may be left out.")] = 0,
    device: Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda:N or mps.")] = "auto",
    executor: Annotated[str, typer.Option(help="local, or ray: shards and trainings side by side.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="auto, local or HOST:PORT. Default: a cluster that runs here, or a new one.")
    ] = None,
    workers_per_node: Annotated[
        int | None, typer.Option(help="ray: extraction workers on the cores of each machine. Default: one a GPU.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never call a model hub.")] = False,
    against_paper: Annotated[
        bool,
        typer.Option(
            "--against-paper", help="mars and duke: recipes paper and reference, beside the paper's figures."
        ),
    ] = False,
    format: Annotated[str, typer.Option(help="rich, markdown, csv or json.")] = "rich",
) -> None:
    """Extract and train every system with several seeds.

    It prints means and deviations. Run it again to continue.

    With --against-paper it checks first, trains by the recipes of the paper and of its authors' code, compares
    with the paper, and writes a small file that can be sent (docs/reproduce.md).

    Examples:

        vpar benchmark --dataset mars --root MARS
        vpar benchmark --dataset mars --root MARS --models vtf,linear --seeds 5
        vpar benchmark --dataset mars --root MARS --against-paper
    """
    if against_paper and recipe is not None:
        raise UserError(f"--recipe: got {recipe}; --against-paper trains by paper and by reference. Leave it out")
    if recipe == "reference":
        raise UserError("--recipe reference is the authors' training of vtf alone; use strict or paper")
    from vpar_cache.rendering.formats import check_format
    from vpar_cache.workflows.against_paper.plan import MODELS as COMPARED
    from vpar_cache.workflows.benchmark import BACKBONES, ROWS, BenchmarkConfig, run_benchmark

    check_format(format)  # before hours of work
    compared = COMPARED if against_paper else tuple(ROWS)
    config = BenchmarkConfig(
        dataset=dataset,
        root=root or Path("data") / dataset,
        out=out,
        models=compared if models is None else tuple(name.strip() for name in models.split(",")),
        seeds=seeds,
        extract={
            "group": group,
            "weights": weights,
            "frames": frames,
            "views": views,
            "limit": limit,
            "max_bad": max_bad,
            "devices": (device,),
            "offline": offline,
        },
        train={"recipe": recipe or "strict", "epochs": epochs, "lr": lr, "device": device, "offline": offline},
        backbones=BACKBONES,
        executor=executor,
        ray_address=ray_address,
        workers_per_node=workers_per_node,
    )
    if against_paper:
        _reproduce(config, format)
        return
    with stoppable() as stop:
        result = run_benchmark(config, say=say, stop=stop)
    print_document(result, format)
    say(f"runs: {config.runs}; more of them: vpar report --runs {config.runs} --details")
    if result.lost:
        raise typer.Exit(1)


def _reproduce(config: "BenchmarkConfig", format: str) -> None:
    from vpar_cache.workflows.against_paper.run import reproduce

    with stoppable() as stop:
        result = reproduce(config, say=say, stop=stop)
    if result.file is not None:
        print_document(result, format)
        say(f"to send: {result.file} (settings, versions, timings, scores; no path and no name)")
    if result.why_not:
        say(f"this is no reproduction of the paper: {'; '.join(result.why_not)}")
    if result.failed:
        say(f"not done: {'; '.join(result.failed)}. Finished parts are kept: run the same command again")
        raise typer.Exit(1)
