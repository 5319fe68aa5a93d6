"""`vpar export`: a finished run as a folder for other people."""

from pathlib import Path
from typing import Annotated

import typer

from .console import print_text, say
from .interrupts import stoppable


def export(
    run: Annotated[Path, typer.Option(help="The run folder, or its name under --runs.")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write.")],
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("cache/runs"),
    onnx: Annotated[bool, typer.Option("--onnx", help="Also write encoder.onnx and head.onnx.")] = False,
    weights: Annotated[
        str | None,
        typer.Option(help="--onnx: weights of the run's encoder, a file or a tag. Default: as the run says."),
    ] = None,
    license: Annotated[
        str, typer.Option(help="Licence of the model, as the model hub names it: mit, cc-by-nc-4.0, ...")
    ] = "unknown",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder of an earlier export.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never call a model hub.")] = False,
) -> None:
    """Write a run as a folder for other people, or for a model hub.

    Examples:

        vpar export --run RUN --to shared
        vpar export --run RUN --to shared --onnx --overwrite
    """
    from vpar_cache.runs.finished import find_runs

    (folder,) = find_runs([run], runs)
    from vpar_cache.sharing.export import ExportConfig, export_run

    config = ExportConfig(
        run=folder, to=to, onnx=onnx, weights=weights, offline=offline, license=license, overwrite=overwrite
    )
    with stoppable(keeps=False) as stop:
        result = export_run(config, say=say, stop=stop)
    if result.random_weights:
        say("RANDOM WEIGHTS: the answers of this model have no meaning; README.md and config.json say so")
    for name, size in result.sizes.items():
        say(f"{name}: {size:,} bytes")
    say(f"try it: vpar predict --run {folder_text(result.folder)} PICTURES")
    print_text(f"{result.folder}\n")


def folder_text(folder: Path) -> str:
    """Return a folder as a shell takes it."""
    import shlex

    return shlex.quote(str(folder))
