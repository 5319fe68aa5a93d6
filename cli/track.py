"""`vpar track`: people of a video as a box file."""

from pathlib import Path
from typing import Annotated

import typer

from vpar_cache.errors import count_of, counted

from .console import print_text, say
from .interrupts import stoppable


def track(
    video: Annotated[Path, typer.Argument(help="A video, or a MOT sequence folder.")],
    out: Annotated[Path, typer.Option(help="MOTChallenge text to write: frame,id,left,top,width,height,...")],
    detector: Annotated[
        str | None,
        typer.Option(
            help="torchvision:NAME, or motion (fixed camera, no weights). Default: "
            "torchvision:fasterrcnn_mobilenet_v3_large_fpn."
        ),
    ] = None,
    detector_weights: Annotated[
        Path | None, typer.Option(help="File with the detector's weights. Default: torch's hub folder.")
    ] = None,
    tracker: Annotated[str, typer.Option(help="bytetrack or ocsort.")] = "bytetrack",
    min_score: Annotated[float, typer.Option(help="Least score of a box of the detector.")] = 0.5,
    min_frames: Annotated[int, typer.Option(help="Drop tracks of fewer boxes.")] = 5,
    min_height: Annotated[float, typer.Option(help="Drop boxes that are lower, in pixels.")] = 32,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    device: Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda:N or mps.")] = "auto",
    offline: Annotated[bool, typer.Option("--offline", help="Never download weights.")] = False,
) -> None:
    """Find and follow the people of a video, and write their boxes.

    `vpar predict --boxes` and `vpar init --from-tracks` read them.

    Examples:

        vpar track street.mp4 --out boxes.txt
        vpar track street.mp4 --detector motion --out boxes.txt
    """
    from vpar_cache.prediction.config import PeopleConfig
    from vpar_cache.prediction.track import track as run_track

    people = PeopleConfig(
        detector=detector,
        detector_weights=detector_weights,
        tracker=tracker,
        min_score=min_score,
        min_frames=min_frames,
        min_height=min_height,
    )
    with stoppable(keeps=False) as stop:
        found = run_track(
            video, out, people, device=device, offline=offline, overwrite=overwrite, say=say, stop=stop
        )
    say(f"{count_of(found.tracks, 'track')}, {counted(found.boxes, 'box', 'boxes')}")
    for reason, count in sorted(found.dropped.items()):
        say(f"dropped: {count} x {reason}")
    if not found.tracks:
        limits = "--min-frames or --min-height" if found.dropped else "--min-score, or use another --detector"
        say(f"{out} is empty: nobody was found that is within the limits; lower {limits}")
    print_text(f"{out}\n")
