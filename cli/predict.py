"""`vpar predict`: attributes of people in own pictures and videos."""

from pathlib import Path
from typing import Annotated

import typer

from vpar_cache.errors import UserError

from .console import print_document, say, stdout_width
from .interrupts import stoppable


def predict(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Pictures, folders of pictures, videos, MOT folders.")
    ],
    run: Annotated[
        str | None,
        typer.Option(
            help="A run folder, its name under --runs, a folder of `vpar export`, or OWNER/NAME on the model hub."
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("cache/runs"),
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="No run: CLIP's similarity to the phrases of --schema.")
    ] = False,
    schema: Annotated[
        str | None, typer.Option(help="--zero-shot: mars, duke or a TOML file with your attributes.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="--zero-shot: a CLIP. Default: open_clip:ViT-B-16-quickgelu.")
    ] = None,
    boxes: Annotated[
        list[Path] | None,
        typer.Option(help="Box file of a video: MOTChallenge text, CSV or Parquet. Repeat it for each video."),
    ] = None,
    one_person: Annotated[
        bool, typer.Option("--one-person", help="Each folder of pictures is one person. Default: each picture.")
    ] = False,
    detector: Annotated[
        str | None,
        typer.Option(
            help="Finds people in a video without box file, or in a picture: torchvision:NAME, or motion (fixed "
            "camera, no weights). Default for a video: torchvision:fasterrcnn_mobilenet_v3_large_fpn."
        ),
    ] = None,
    detector_weights: Annotated[
        Path | None, typer.Option(help="File with the detector's weights. Default: torch's hub folder.")
    ] = None,
    tracker: Annotated[str, typer.Option(help="bytetrack or ocsort.")] = "bytetrack",
    min_score: Annotated[float, typer.Option(help="Least score of a box of the detector.")] = 0.5,
    min_frames: Annotated[int, typer.Option(help="Drop tracks of fewer boxes.")] = 5,
    min_height: Annotated[float, typer.Option(help="Drop boxes that are lower, in pixels.")] = 32,
    windows: Annotated[
        float | None, typer.Option(help="Also answer for parts of a track of this many seconds.")
    ] = None,
    changing: Annotated[str, typer.Option(help="Groups that may change within a track.")] = "pose,motion",
    hide: Annotated[str | None, typer.Option(help="Groups to leave out of everything, as in gender,age.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Table to write: .parquet, .csv or .jsonl; - is CSV on stdout.")
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="PNG to write: frames and attributes.")] = None,
    annotate: Annotated[Path | None, typer.Option(help="MP4 to write: the video with boxes and labels.")] = None,
    html: Annotated[Path | None, typer.Option(help="Page to write: people, to filter by attributes.")] = None,
    keep_features: Annotated[
        Path | None, typer.Option(help="Cache to write, .h5: the features, for `vpar train --labels`.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    device: Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda:N or mps.")] = "auto",
    weights: Annotated[
        str | None, typer.Option(help="Weights of the run's encoder, a file or a tag. Default: as the run says.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16. Default: the run's.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Frames per forward pass. Default: 8 on a CPU, 512 on a GPU.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never call a model hub.")] = False,
    format: Annotated[str, typer.Option(help="Of the table in the terminal: rich or markdown.")] = "rich",
) -> None:
    """Tell the attributes of people in your pictures and videos.

    With a trained run, or with CLIP alone.

    Examples:

        vpar predict --run RUN crops --out people.csv
        vpar predict --run RUN street.mp4 --boxes boxes.txt --html people.html
        vpar predict --run RUN street.mp4 --annotate people.mp4
        vpar predict --zero-shot --schema shop/schema.toml crops
    """
    from vpar_cache.base.checks import check_choice
    from vpar_cache.prediction.config import STDOUT, PeopleConfig, PredictConfig

    check_choice("--format", format, ("rich", "markdown"))
    if (run is None) == (not zero_shot):
        raise UserError("--run: give either a trained run, or --zero-shot with --schema")
    if not zero_shot and (schema is not None or backbone is not None):
        option = "--schema" if schema is not None else "--backbone"
        raise UserError(f"{option}: only --zero-shot reads it, a run has its own; leave it out")
    config = PredictConfig(
        inputs=tuple(inputs),
        boxes=tuple(boxes or ()),
        one_person=one_person,
        people=PeopleConfig(
            detector=detector,
            detector_weights=detector_weights,
            tracker=tracker,
            min_score=min_score,
            min_frames=min_frames,
            min_height=min_height,
        ),
        windows=windows,
        changing=_names("--changing", changing),
        hide=() if hide is None else _names("--hide", hide),
        out=out,
        sheet=sheet,
        annotate=annotate,
        html=html,
        keep_features=keep_features,
        overwrite=overwrite,
        device=device,
        offline=offline,
    )
    from vpar_cache.base.devices import explain_device
    from vpar_cache.prediction.predict import predict as run_predict
    from vpar_cache.prediction.predictor import EncoderOptions, Predictor
    from vpar_cache.prediction.zero_shot import DEFAULT_BACKBONE
    from vpar_cache.prediction.zero_shot import zero_shot as make_zero_shot
    from vpar_cache.sharing.find import open_run

    loaded = None if run is None else open_run(run, runs, offline=offline, say=say)
    say(explain_device(device))
    options = EncoderOptions(device, weights, precision, batch_size, offline)
    if loaded is None:
        from vpar_cache.attributes.built_in import load_schema

        backbone = backbone or DEFAULT_BACKBONE
        predictor = make_zero_shot(load_schema(schema or "mars"), options, backbone=backbone, say=say)
    else:
        predictor = Predictor(loaded, options, say)
    with stoppable(keeps=bool(config.files()) and keep_features is None) as stop:
        result = run_predict(predictor, config, say=say, stop=stop)
    if out != STDOUT:
        print_document(result.fitted(stdout_width()) if format == "rich" else result, format)
    else:
        for reason, count in sorted(result.dropped.items()):
            say(f"dropped: {count} x {reason}")
    say(result.summary)
    for option, path in result.files.items():
        say(f"{option.removeprefix('--')}: {path}")
    if result.failures:
        say(f"left out: {len(result.failures)}, named above")
        raise typer.Exit(1)


def _names(option: str, text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UserError(f"{option}: got {text!r}; expected names of groups, as in gender,age")
    return names
