"""A folder with small real files under the names that help and docs use: MARS, RUN, street.mp4, shop, ..."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.hostile_files import call_vpar
from tests.support.image_trees import write_market
from vpar_cache.datasets.demo.video import encode_video, write_video
from vpar_cache.extraction.config import ExtractConfig


def write_example_folder(
    root: Path, extract_config: Callable[..., ExtractConfig], demo_root: Path, people: Path
) -> None:
    """Write them into an empty folder. `people`: a folder of pictures for each tracklet of `demo_root`."""
    from vpar_cache.extraction.extract import extract  # they import torch
    from vpar_cache.training.config import TrainConfig
    from vpar_cache.training.train import train

    shutil.copytree(demo_root, root / "MARS")
    write_market(root / "Market")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name in ("mars", "duke"):
            extract(extract_config(Path(f"cache/{name}.h5"), root=Path("MARS")))
        for seed, name in enumerate(("RUN", "OTHER")):
            settings = {"dim": 32, "heads": 2, "epochs": 2, "device": "cpu", "seed": seed, "name": name}
            run = train(TrainConfig(features="cache/mars.h5", val_fraction=0.34, **settings)).folder  # type: ignore[arg-type]
            _write_predictions(root, run)
    _write_shop(root, people)
    drawn = write_video(root / "drawn", people=12, frames=40, seed=1)
    encode_video(drawn, root / "street.mp4")
    shutil.copy(drawn / "gt/gt.txt", root / "boxes.txt")
    shutil.rmtree(drawn)
    (root / "crops").mkdir()
    for number, path in enumerate(sorted(people.rglob("*.jpg"))[:6]):
        shutil.copy(path, root / f"crops/{number}.jpg")
    (root / "search.toml").write_text("[lr]\nlow = 1e-4\nhigh = 1e-2\nlog = true\n")


def _write_shop(root: Path, people: Path) -> None:
    """Write a folder as `vpar init` starts it, with labels that somebody gave."""
    for day in ("monday", "tuesday"):
        shutil.copytree(people, root / "shop" / day)
    assert call_vpar("init", "shop", folder=root).returncode == 0
    with (root / "shop/labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for number, row in enumerate(rows):
        row["split"] = "test" if number % 3 == 0 else "train"
        row |= {"hat": str(number % 2), "backpack": str(number // 2 % 2), "top color": str(number % 5)}
    for path in (root / "shop/labels.csv", root / "labels-of-anna.csv"):
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)


def _write_predictions(root: Path, run: Path) -> None:
    """Write the test predictions of a run as other programs would: as Parquet and as CSV, with lists in cells."""
    table = pq.read_table(run / "predictions.parquet")
    columns = ["tracklet_id", "probabilities", "labels"]
    rows = [{name: row[name] for name in columns} for row in table.to_pylist() if row["split"] == "test"]
    pq.write_table(table.select(columns).slice(table.num_rows - len(rows)), root / "predictions.parquet")
    with (root / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        lists = (([float(p) for p in row["probabilities"]], [int(v) for v in row["labels"]]) for row in rows)
        writer.writerows(
            [row["tracklet_id"], json.dumps(probabilities), json.dumps(labels)]
            for row, (probabilities, labels) in zip(rows, lists, strict=True)
        )
