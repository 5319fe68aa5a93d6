"""The end of the demo: its model describes the people of a drawn video, and the drawing says how much is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.cache.index import read_index
from vpar_cache.datasets.demo.video import encode_video, write_video
from vpar_cache.datasets.labels import KeyColumn, read_labels
from vpar_cache.prediction.answers import NO, YES
from vpar_cache.prediction.config import PredictConfig
from vpar_cache.prediction.predict import predict
from vpar_cache.prediction.predictor import EncoderOptions, Predictor
from vpar_cache.prediction.table import column_name
from vpar_cache.runs.load import load_run

PEOPLE, FRAMES = 24, 100
"""In the video."""


@dataclass(frozen=True)
class DemoFiles:
    """What the end of the demo writes."""

    table: Path
    page: Path
    annotated: Path

    @classmethod
    def below(cls, out: Path) -> DemoFiles:
        """Return those of a demo in the folder `out`."""
        return cls(out / "people.parquet", out / "people.html", out / "people.mp4")


@dataclass(frozen=True)
class RightAnswers:
    """How many answers about people agree with the drawing."""

    people: int
    groups: int
    right: int
    constant: int
    """Right of the best constant: in each group the most frequent value of the train tracklets."""

    def __str__(self) -> str:
        asked = self.people * self.groups
        return (
            f"Of the drawn video's {self.people} people, {self.right} of {asked} attributes are right "
            f"({100 * self.right / asked:.1f} %); of the best constant {self.constant} "
            f"({100 * self.constant / asked:.1f} %)."
        )


def predict_drawn_video(
    run: Path, index: Path, out: Path, *, device: str = "auto", seed: int = 0, say: Say = log, stop: Stop = never
) -> RightAnswers:
    """Draw a video below `out`, predict its people with a run, write DemoFiles, and compare with the drawing.

    `index`: the cache that the run was trained on. Without PyAV the frames of the video are read as pictures, and
    no annotated video is written.
    """
    files = DemoFiles.below(out)
    drawn = write_video(out / "video", PEOPLE, FRAMES, seed)
    has_video = find_spec("av") is not None
    if not has_video:
        say("no annotated video, since PyAV is not installed: pip install 'vpar-cache[video]'")
    config = PredictConfig(
        inputs=(encode_video(drawn, drawn / "video.mp4") if has_video else drawn,),
        boxes=(drawn / "gt/gt.txt",),
        out=files.table,
        html=files.page,
        annotate=files.annotated if has_video else None,
        overwrite=True,
        device=device,
    )
    predictor = Predictor(load_run(run), EncoderOptions(device), say)
    result = predict(predictor, config, say=say, stop=stop)
    say(result.summary)
    features = read_index(index)
    train = features.splits == "train"  # (N,)
    return count_right(files.table, drawn / "truth.csv", predictor.schema, features.labels[train])


def count_right(table: Path, truth: Path, schema: Schema, train: NDArray[np.uint8]) -> RightAnswers:
    """Compare the people of a table of `vpar predict` with a label file, by track_id. `unknown` is not right.

    `train`: labels (n_train, A), whose most frequent values are the best constant.
    """
    labels = {
        int(row.keys["track_id"]): _values(schema, row.labels)
        for row in read_labels(truth, schema, (KeyColumn("track_id"),)).rows
    }
    constant = _values(schema, _most_frequent(schema, train))
    people = pq.read_table(table).to_pylist()
    right = by_constant = 0
    for person in people:
        for group, value in labels[person["track_id"]].items():
            right += person[column_name(group)] == value
            by_constant += constant[group] == value
    return RightAnswers(len(people), len(schema.groups), right, by_constant)


def _values(schema: Schema, labels: NDArray[np.uint8]) -> Mapping[str, str]:
    """Return the value of each group, as in the table, from labels (A,)."""
    found = {}
    for group, columns in schema.slices():
        of_group = labels[columns]  # (A of the group,)
        yes_or_no = YES if of_group[0] else NO
        found[group.name] = group.value_names()[int(of_group.argmax())] if group.is_choice else yes_or_no
    return found


def _most_frequent(schema: Schema, train: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return labels (A,): in each group the most frequent value of labels (n, A)."""
    rates = train.mean(axis=0)  # (A,)
    labels: NDArray[np.uint8] = (rates > 0.5).astype(np.uint8)  # (A,)
    for group, columns in schema.slices():
        if group.is_choice:
            labels[columns] = 0
            labels[columns.start + int(rates[columns].argmax())] = 1
    return labels
