"""`vpar init` and `vpar check`: data of your own."""

from pathlib import Path
from typing import Annotated

import typer

from vpar_cache.errors import UserError, count_of, printable

from .console import print_text, say
from .extract import FollowLinks, Grouping, TestLabels


def init(
    dir: Annotated[Path, typer.Argument(help="The folder to start, or one that has pictures already.")],
    video: Annotated[
        list[Path] | None, typer.Option(help="Cut people out of this video; may be given several times.")
    ] = None,
    from_tracks: Annotated[
        list[Path] | None,
        typer.Option(
            help="The box file of --video, as `vpar track` or any tracker writes it; one for each video."
        ),
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames to cut of a track at most: the best, spread over it.")] = 12,
    min_frames: Annotated[int, typer.Option(help="Drop tracks of fewer boxes.")] = 5,
    min_height: Annotated[float, typer.Option(help="Drop boxes that are lower, in pixels.")] = 32,
) -> None:
    """Start a folder for attributes of your own.

    It writes a schema, a label file, and a page to label in the browser. Run it again after a change of
    schema.toml or of the pictures. No file of yours is ever replaced.

    Examples:

        vpar init shop
        vpar init shop --video street.mp4 --from-tracks boxes.txt
    """
    from vpar_cache.datasets.own.template import start_template, write_template

    videos, tracks = video or [], from_tracks or []
    if len(videos) != len(tracks):
        raise UserError(
            f"--from-tracks: got {count_of(len(tracks), 'box file')} for {count_of(len(videos), 'video')}; "
            "expected one for each --video, in their order. `vpar track VIDEO --out boxes.txt` writes one"
        )
    started: list[str] = []
    if videos:
        from vpar_cache.prediction.video.source import TrackRules  # with PyAV, if the video is a file
        from vpar_cache.workflows.init_from_video import TrackedVideo, cut_videos

        rules = TrackRules(num_frames=frames, min_frames=min_frames, min_height=min_height)
        _, started = start_template(dir)  # an invalid schema shows before the video is read
        cut_videos(dir, [TrackedVideo(*pair) for pair in zip(videos, tracks, strict=True)], rules, say)
    template = write_template(dir, started)
    kept = f"; kept as they are: {', '.join(template.kept)}" if template.kept else ""
    say(f"{dir}: {count_of(template.tracklets, 'tracklet')}; written: {', '.join(template.written)}{kept}")
    if template.tracklets:
        print_text(f"{dir / 'label.html'}\n")
    else:
        say(f"next: name your attributes in {dir / 'schema.toml'}, add pictures, and run `vpar init {dir}` again")


def check(
    dir: Annotated[Path, typer.Argument(help="The folder that `vpar init` started, or that holds a dataset.")],
    dataset: Annotated[
        str, typer.Option(help="Layout of the data: folder, images, market, pa100k, mars or duke.")
    ] = "folder",
    labels: Annotated[
        Path | None, typer.Option(help="folder, images: the CSV file of labels. Default: DIR/labels.csv.")
    ] = None,
    test_labels: TestLabels = None,
    group: Grouping = None,
    schema: Annotated[
        str | None,
        typer.Option(
            help="folder, images: a built-in name, as in mars, or a TOML file with your attributes. Default: "
            "DIR/schema.toml, or for images each column of the label file."
        ),
    ] = None,
    follow_links: FollowLinks = None,
) -> None:
    """List all that is wrong with a dataset, before any encoding.

    Exit status 0: nothing found; 1: each line on stdout is a finding.

    Examples:

        vpar check shop
        vpar check shop --labels labels-of-anna.csv
        vpar check Market --dataset market
    """
    from vpar_cache.base.checks import check_choice
    from vpar_cache.datasets.names import DATASETS, check_layout_options
    from vpar_cache.datasets.own.check import check_dataset, summary
    from vpar_cache.datasets.own.check_layout import check_layout

    check_choice("--dataset", dataset, tuple(name for name in DATASETS if name != "demo"))  # it would be drawn
    check_layout_options(dataset, labels, test_labels, group)
    if dataset == "folder":
        checked = check_dataset(dir, labels, schema, follow_links)
    else:
        checked = check_layout(dataset, dir, labels, schema, follow_links, test_labels, group)
    for note in checked.notes:
        say(note)
    print_text("".join(f"{printable(' '.join(finding.split()))}\n" for finding in checked.findings))
    say(summary(checked))
    if checked.findings:
        raise typer.Exit(1)
