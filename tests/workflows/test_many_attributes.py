"""A schema of 1,000 attributes goes all the way: label file, cache, training, report, score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.hostile_files import call_vpar
from vpar_cache.attributes.schema import Group, Output, Schema
from vpar_cache.datasets.mars import load_mars
from vpar_cache.datasets.tracklet import Dataset, Tracklet
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.reporting.score import score
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train

MANY = 1000


@pytest.mark.slow
def test_a_schema_of_1000_attributes_works(
    demo_root: Path, tmp_path: Path, extract_config: Callable[..., ExtractConfig]
) -> None:
    names = [f"attribute {number}" for number in range(MANY)]
    schema = Schema("many", tuple(Group(name, (Output(name, name),), (name,), f"no {name}") for name in names))
    random = np.random.default_rng(0)

    def labelled(t: Tracklet) -> Tracklet:
        labels = random.integers(0, 2, MANY).astype(np.uint8)  # (A,)
        return Tracklet(
            t.tracklet_id, t.split, t.person_id, t.camera_id, t.folder, t.frames, labels, np.zeros(0, np.uint8)
        )

    dataset = Dataset("many", schema, tuple(labelled(t) for t in load_mars(demo_root).tracklets))
    config = extract_config(tmp_path / "cache" / "many.h5", dataset=None, root=None)
    index = extract(config, dataset=dataset).index
    folder = train(
        TrainConfig(features=index, runs=tmp_path / "runs", model="linear", epochs=1, device="cpu")
    ).folder
    assert score(folder / "predictions.parquet", schema).evaluation.num_tracklets == 6
    done = call_vpar("report", "--runs", str(tmp_path / "runs"), folder=tmp_path)
    assert (done.returncode, "attribute 999" in done.stdout) == (0, True)
