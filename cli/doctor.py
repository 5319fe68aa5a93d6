"""`vpar doctor`: will it run here, and what to do where it will not."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vpar_cache.errors import count_of, counted, printable

from .console import print_text, say, stdout_width
from .extract import FollowLinks, Grouping, TestLabels, devices_of, number_of_frames

if TYPE_CHECKING:
    from vpar_cache.workflows.doctor.check import Check

_LABELS = "{:<8} {:<11}  "
"""State and name of a check, before its text."""


def doctor(
    dataset: Annotated[
        str | None, typer.Option(help="Also check this dataset; its layout, as for vpar extract.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="The dataset's folder. Default: data/DATASET.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The index file that will be written. Default: cache/DATASET.h5.")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="Numbers of the GPUs to use, as in 0 or 0,1.")] = None,
    device: Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda:N or mps.")] = "auto",
    labels: Annotated[Path | None, typer.Option(help="folder, images: the CSV file of labels.")] = None,
    test_labels: TestLabels = None,
    group: Grouping = None,
    schema: Annotated[
        str | None, typer.Option(help="folder, images: a built-in name, or a TOML file with your attributes.")
    ] = None,
    follow_links: FollowLinks = None,
    backbone: Annotated[str, typer.Option(help="open_clip:NAME or timm:NAME.")] = "open_clip:ViT-B-16-quickgelu",
    weights: Annotated[
        str | None,
        typer.Option(
            help="A hub tag, a .safetensors or .pt file, or random:SEED. Default: openai, or timm's for NAME."
        ),
    ] = None,
    frames: Annotated[str, typer.Option(help="Frames per tracklet, or all.")] = "6",
    views: Annotated[int, typer.Option(help="Augmented draws to store for each train tracklet.")] = 0,
    keep_frames: Annotated[bool, typer.Option("--keep-frames", help="Store the tokens of every frame.")] = False,
    precision: Annotated[str, typer.Option(help="Precision of the encoder: auto, fp32, bf16 or fp16.")] = "auto",
    max_bad: Annotated[int, typer.Option(help="How many unusable tracklets may be left out.")] = 0,
    offline: Annotated[bool, typer.Option("--offline", help="Never call a model hub.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check what an extraction needs, and say what to do.

    Packages, GPU, weights, data, disk; the options are those of `vpar extract`. Nothing is downloaded. Exit status
    0: it will run, perhaps with warnings; 1: something would fail.

    Examples:

        vpar doctor
        vpar doctor --dataset mars --root MARS
        vpar doctor --dataset folder --root shop --schema shop/schema.toml --json
    """
    from vpar_cache.extraction.config import ExtractConfig
    from vpar_cache.workflows.doctor.examine import examine, worst

    config = ExtractConfig(
        dataset=dataset,
        root=root,
        out=out or Path("cache") / f"{dataset or 'mars'}.h5",
        labels=labels,
        test_labels=test_labels,
        group=group,
        follow_links=follow_links,
        schema=schema,
        devices=devices_of(gpu, device),
        backbone=backbone,
        weights=weights,
        frames=number_of_frames(frames),
        views=views,
        keep_frames=keep_frames,
        precision=precision,
        max_bad=max_bad,
        offline=offline,
    )
    checks = []
    for check in examine(config):
        checks.append(check)
        if not as_json:
            print_text("".join(f"{line}\n" for line in _lines(check, stdout_width())))
    state = worst(checks)
    if as_json:
        print_text(json.dumps({"state": state, "checks": [vars(check) for check in checks]}, indent=2) + "\n")
    else:
        bad = [check.state for check in checks]
        say(
            f"{count_of(len(checks), 'check')}: {count_of(bad.count('warning'), 'warning')}, "
            + counted(bad.count("fails"), "thing would fail", "things would fail")
        )
    if state == "fails":
        raise typer.Exit(1)


def _lines(check: "Check", width: int | None) -> Iterator[str]:
    """Yield the check as one line, broken at spaces where it is wider than the terminal."""
    label = _LABELS.format(check.state, check.name)
    text = printable(" ".join(check.text.split()))
    if width is None:
        yield label + text
        return
    indent = " " * (len(label) if width >= 60 else 2)
    yield from textwrap.wrap(
        label + text,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
