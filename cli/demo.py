"""`vpar demo`: the whole path without a download."""

from pathlib import Path
from typing import Annotated

import typer

from .console import print_document, print_text, say
from .interrupts import stoppable


def demo(
    out: Annotated[Path, typer.Option(help="Folder for all files of the demo.")] = Path("demo"),
    frames: Annotated[int, typer.Option(help="Frames per tracklet.")] = 1,
    epochs: Annotated[int, typer.Option(help="Passes over the train tracklets.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed of drawings, weights and training.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files of an earlier demo.")] = False,
    device: Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda:N or mps.")] = "auto",
) -> None:
    """Try everything on drawn people. Nothing is downloaded.

    It draws a small dataset, extracts, trains, reports, and predicts the people of a drawn video. The encoder has
    random weights, so that the demo runs anywhere: it shows that everything works and that the fusion model
    learns, not how good CLIP's features are.

    Examples:

        vpar demo
    """
    from vpar_cache.workflows.demo import DemoConfig, run_demo

    config = DemoConfig(out=out, frames=frames, epochs=epochs, seed=seed, device=device, overwrite=overwrite)
    with stoppable() as stop:
        result = run_demo(config, say=say, stop=stop)
    print_document(result.report, "rich")
    people = result.people
    video = f"video:    {people.annotated}\n" if people.annotated.exists() else ""
    print_text(
        f"features: {result.index}\nrun:      {result.run.folder}\npicture:  {result.picture}\n"
        f"people:   {people.table}\npage:     {people.page}\n{video}\n"
    )
    print_text(f"{result.verdict}\n{result.right}\n")
