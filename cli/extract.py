"""`vpar extract`: stage 1."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vpar_cache.errors import UserError, count_of

from .console import print_text, say
from .interrupts import stoppable

TestLabels = Annotated[
    Path | None,
    typer.Option(help="images: the CSV file of the test images, if --labels has no column split."),
]
Grouping = Annotated[
    str | None,
    typer.Option(help="market: camera groups the images of one identity in one camera into a tracklet."),
]
FollowLinks = Annotated[
    Path | None, typer.Option(help="Also take frames that are links into this folder. Default: none.")
]
"""Options of every command that reads a dataset."""


def extract(
    dataset: Annotated[
        str, typer.Option(help="Layout of the data: mars, duke, market, pa100k, images, folder or demo.")
    ],
    root: Annotated[Path | None, typer.Option(help="The dataset's folder. Default: data/DATASET.")] = None,
    out: Annotated[Path | None, typer.Option(help="The index file to write. Default: cache/DATASET.h5.")] = None,
    gpu: Annotated[str | None, typer.Option(help="Numbers of the GPUs to use, as in 0 or 0,1.")] = None,
    device: Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda:N or mps.")] = "auto",
    labels: Annotated[
        Path | None,
        typer.Option(
            help="folder, images: the CSV file of labels. Default: ROOT/labels.csv, or for images ROOT/train.csv."
        ),
    ] = None,
    test_labels: TestLabels = None,
    group: Grouping = None,
    follow_links: FollowLinks = None,
    schema: Annotated[
        str | None,
        typer.Option(
            help="folder, images: a built-in name, as in mars, or a TOML file with your attributes. Default: "
            "mars, or for images each column of the label file."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="reference: frames, pixels and prompts as in the authors' code.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="open_clip:NAME or timm:NAME. Default: open_clip:ViT-B-16-quickgelu.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="A hub tag, a .safetensors or .pt file, or random:SEED. Default: openai, or timm's for NAME."
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="clip, minilm (sentence embeddings), none, or auto: clip if the backbone has it. Default: auto."
        ),
    ] = None,
    frames: Annotated[str | None, typer.Option(help="Frames per tracklet, or all. Default: 6.")] = None,
    sampling: Annotated[str | None, typer.Option(help="uniform or random frames. Default: uniform.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of random sampling, views and the demo's drawings.")] = 0,
    views: Annotated[int, typer.Option(help="Augmented draws to store for each train tracklet.")] = 0,
    keep_frames: Annotated[bool, typer.Option("--keep-frames", help="Store the tokens of every frame.")] = False,
    resize: Annotated[
        str | None, typer.Option(help="How to make frames square: pad or stretch. Default: pad.")
    ] = None,
    normalize: Annotated[
        str | None,
        typer.Option(
            help="Mean and deviation of pixels: own (the backbone's) or half (the authors' code). Default: own."
        ),
    ] = None,
    prompts: Annotated[str | None, typer.Option(help="paper, words, or a TOML file. Default: paper.")] = None,
    precision: Annotated[str, typer.Option(help="Precision of the encoder: auto, fp32, bf16 or fp16.")] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(help="Frames per forward pass. Default: 8 on a CPU, 512 on a GPU.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Threads that decode; on a GPU more than 5 are processes. Default: 5, on a GPU the cores but one."
        ),
    ] = None,
    shard_size: Annotated[int | None, typer.Option(help="Tracklets per shard. Default: about 52 MB.")] = None,
    limit: Annotated[int | None, typer.Option(help="Use only this many tracklets, spread evenly.")] = None,
    max_bad: Annotated[int, typer.Option(help="How many unusable tracklets may be left out.")] = 0,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace features of other settings at --out, and drop tracklets that it holds."
        ),
    ] = False,
    recheck: Annotated[
        bool,
        typer.Option(
            "--recheck", help="Read all images and weights again, even if their sizes and times are unchanged."
        ),
    ] = False,
    executor: Annotated[str, typer.Option(help="local, or ray: on a Ray cluster, see docs/cluster.md.")] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="ray: auto, local or HOST:PORT. Default: RAY_ADDRESS, a cluster that runs here, or a new one."
        ),
    ] = None,
    workers_per_node: Annotated[
        int | None, typer.Option(help="ray: workers on the cores of each machine. Default: one on each GPU.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="I/N: compute only every Nth shard, from number I, and write no index: an array task."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never call a model hub.")] = False,
) -> None:
    """Encode every tracklet once, into a feature cache.

    Stage 1: a frozen backbone, sealed HDF5 shards. Run the same command again after an interrupt or a change: only
    new, changed and damaged tracklets are encoded.

    Examples:

        vpar extract --dataset mars --root MARS
        vpar extract --dataset folder --root shop --schema shop/schema.toml
        vpar extract --dataset mars --root MARS --weights random:0 --limit 20
    """
    from vpar_cache.extraction.config import ExtractConfig, with_preset

    given = {
        "backbone": backbone,
        "weights": weights,
        "text": text,
        "sampling": sampling,
        "resize": resize,
        "normalize": normalize,
        "prompts": prompts,
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if frames is not None:
        chosen["frames"] = number_of_frames(frames)
    config = ExtractConfig(
        dataset=dataset,
        root=root,
        out=out or Path("cache") / f"{dataset}.h5",
        labels=labels,
        test_labels=test_labels,
        group=group,
        follow_links=follow_links,
        schema=schema,
        devices=devices_of(gpu, device),
        seed=seed,
        views=views,
        keep_frames=keep_frames,
        precision=precision,
        batch_size=batch_size,
        workers=workers,
        shard_size=shard_size,
        limit=limit,
        max_bad=max_bad,
        overwrite=overwrite,
        recheck=recheck,
        executor=executor,
        ray_address=ray_address,
        workers_per_node=workers_per_node,
        task=_task(task),
        offline=offline,
        **with_preset(preset, chosen),
    )
    from vpar_cache.extraction.extract import extract as write_cache  # it imports numpy and HDF5

    with stoppable() as stop:
        result = write_cache(config, say=say, stop=stop)
    if config.task is not None:
        shards = count_of(result.shards_kept + result.shards_written, "shard")
        say(
            f"task {task}: {shards} in {result.seconds:.1f} s: encoded {result.encoded}, copied {result.copied}; "
            "run the same command without --task when all tasks have ended: it writes the index"
        )
        return
    validation = f", {result.num_validation} validation" if result.num_validation else ""
    say(
        f"{result.num_train} train{validation} and {count_of(result.num_test, f'test {result.unit}')} in "
        f"{result.seconds:.1f} s: encoded {result.encoded}, copied {result.copied}; {result.precision}"
        + (f"; left out: {len(result.skipped)}, see skipped.csv" if result.skipped else "")
        + ("; RANDOM WEIGHTS: these features have no meaning" if result.random_weights else "")
    )
    print_text(f"{result.index}\n")


def number_of_frames(frames: str) -> int | None:
    """Return the number; None for all."""
    if frames == "all":
        return None
    if not frames.isdecimal() or len(frames) > 9:
        raise UserError(f"--frames: got {frames!r}; expected a whole number, as in 6, or all")
    return int(frames)


def _task(task: str | None) -> tuple[int, int] | None:
    """Return (I, N) of I/N."""
    if task is None:
        return None
    number, _, count = task.partition("/")
    if not (number.isdecimal() and count.isdecimal()) or len(task) > 20:
        raise UserError(f"--task: got {task[:80]!r}; expected I/N with I from 0 to N - 1, as in 0/8")
    return int(number), int(count)


def devices_of(gpu: str | None, device: str) -> tuple[str, ...]:
    """Return the devices: cuda:0 and cuda:1 for --gpu 0,1."""
    if gpu is None:
        return (device,)
    if device != "auto":
        raise UserError(f"--gpu {gpu} cannot be combined with --device {device}; give one of them")
    numbers = [number.strip() for number in gpu.split(",")]
    if not all(number.isdecimal() for number in numbers) or len(set(numbers)) < len(numbers):
        raise UserError(f"--gpu: got {gpu!r}; expected GPU numbers, each once, as in 0 or 0,1")
    return tuple(f"cuda:{number}" for number in numbers)
