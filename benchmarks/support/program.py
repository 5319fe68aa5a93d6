"""The parts of vpar-cache that the benchmarks time: every call of a stage stands here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from support.random_caches import FRAMES
from vpar_cache.base.callbacks import Say, log
from vpar_cache.base.devices import resolve_precision
from vpar_cache.cache import format as fmt
from vpar_cache.cache.features import open_features
from vpar_cache.cache.hints import load_encode_seconds
from vpar_cache.extraction import extract as stage_1
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.models.build import build_model
from vpar_cache.models.objective import Objective
from vpar_cache.prediction.config import PeopleConfig, PredictConfig
from vpar_cache.prediction.predict import PredictResult
from vpar_cache.prediction.predict import predict as predict_people
from vpar_cache.prediction.predictor import EncoderOptions, Predictor
from vpar_cache.runs.load import load_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.features_for_model import model_inputs
from vpar_cache.training.train import train as train_run

WEIGHTS = "random:0"
"""The values of the weights do not change how long anything takes."""
CROP = (128, 256)
"""Width and height of MARS's pictures, in pixels."""


def extract(say: Say = log, **settings: Any) -> Any:
    """Run stage 1 with random weights; return its result."""
    return stage_1.extract(ExtractConfig(**{"weights": WEIGHTS, "devices": ("cpu",), **settings}), say=say)


def extract_seconds_per_frame(dataset: str, root: Path, out: Path, device: str, **settings: Any) -> float:
    """Return the seconds per frame of a new extraction, from the first file read to the last shard published.

    Loading the network and reading the list of tracklets are not counted.
    """
    remove_cache(out)
    extract(dataset=dataset, root=root, out=out, devices=(device,), frames=FRAMES, **settings)
    seconds = load_encode_seconds(out)
    assert seconds is not None, "the extraction recorded no time"
    return seconds / FRAMES


def remove_cache(index: Path) -> None:
    """Remove an index and its shards."""
    shutil.rmtree(fmt.shard_folder(index), ignore_errors=True)
    index.unlink(missing_ok=True)


def train(index: Path, runs: Path, **settings: Any) -> Path:
    """Run stage 2 on all train people; return the run folder."""
    config = TrainConfig(features=index, runs=runs, **{"recipe": "paper", "device": "cpu", **settings})
    return train_run(config).folder


def epoch_seconds(run: Path) -> list[float]:
    """Return the seconds of each training epoch of a run, loading included, evaluation not."""
    return [float(row["seconds"]) for row in pq.read_table(run / "history.parquet").to_pylist()]


def epoch_seconds_per_tracklet(index: Path, runs: Path, **settings: Any) -> float:
    """Return the seconds per train tracklet of the last of three epochs; the first ones warm up the machine."""
    run = train(index, runs, epochs=3, name="benchmark", overwrite=True, **settings)
    num_train = json.loads((run / "run.json").read_text("utf-8"))["num_train"]
    return epoch_seconds(run)[-1] / int(num_train)


def training_step(
    index: Path, device: torch.device, *, batch: int = 16, lower: bool | None = None, **settings: Any
) -> Callable[[], None]:
    """Return a function that does one step of training (forward, backward, Adam) on rows that are on the device.

    `lower`: products of matrices in bf16. Default: as the precision that `auto` resolves to.
    """
    lower = is_bf16(device) if lower is None else lower
    features = open_features(index)
    rows = features.rows_of("train")[:batch]
    labels = torch.from_numpy(features.labels[rows])  # (B, A)
    config = TrainConfig(features=index, **settings)
    inputs = model_inputs(config.model, "visual", features, rows)
    model = build_model(config, inputs).to(device)
    objective = Objective("bce", inputs.groups, inputs.train_rates, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
    dtype = torch.bfloat16 if lower else torch.float32
    visual = torch.from_numpy(features.visual.gather(rows)).to(device, dtype)  # (B, N, D)
    text = inputs.text.to(device)  # (A, Dt)
    wanted = labels.to(device, torch.float32)  # (B, A)
    known = torch.from_numpy(features.known[rows]).to(device)  # (B, A)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=lower):
            logits = model(visual, text)  # (B, A)
        optimizer.zero_grad(set_to_none=True)
        objective.loss(logits.float(), wanted, known).backward()
        optimizer.step()

    return step


def small_predictor(folder: Path, frames: int = FRAMES) -> Predictor:
    """Return a run of one epoch on a few drawn tracklets, with its encoder built, on the CPU."""
    index = folder / "demo.h5"
    extract(dataset="demo", root=folder / "demo", out=index, frames=frames, limit=8)
    run = train(index, folder / "runs", epochs=1, name="benchmark")
    return Predictor(load_run(run), EncoderOptions("cpu"))


def predict_video(
    predictor: Predictor, video: Path, out: Path, boxes: Path | None, **people: Any
) -> PredictResult:
    """Predict the people of a video into the table `out`. `people`: settings of how they are found."""
    config = PredictConfig(
        inputs=(video,),
        boxes=() if boxes is None else (boxes,),
        people=PeopleConfig(**people),
        out=out,
        overwrite=True,
        device="cpu",
    )
    return predict_people(predictor, config)


def is_bf16(device: torch.device) -> bool:
    """Return whether `--precision auto` resolves to bf16 on this device."""
    return resolve_precision("auto", device) == "bf16"
