"""The commands of docs/own-data.md run as they stand, on a drawn video."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.hostile_files import Done, call_vpar
from tests.support.layers import PROJECT
from vpar_cache.datasets.demo.video import write_video
from vpar_cache.datasets.own.crops import CropLimits, plan_crops, write_crops

COMMANDS = [
    tuple(shlex.split(line)[1:])
    for block in re.findall(r"^```sh\n(.*?)^```", (PROJECT / "docs/own-data.md").read_text("utf-8"), re.M | re.S)
    for line in block.splitlines()
]
SMALL = {
    "extract": ("--backbone", "timm:test_vit", "--weights", "random:0", "--text", "none", "--frames", "2"),
    "train": ("--model", "linear", "--epochs", "2"),
}
"""Options that make a stage fast, and let it run without weights."""


def cut(video: Path, crops: Path) -> None:
    """Cuts the people out of the drawn frames."""
    rows = [tuple(map(float, line.split(",")[:6])) for line in (video / "gt/gt.txt").read_text().split()]
    table = np.array(rows)  # (boxes, 6)
    frames, tracks = table[:, :2].astype(np.int64).T  # (boxes,) each
    plan = plan_crops(frames, tracks, table[:, 2:], (640, 360), CropLimits(frames=4))
    last = int(frames.max())
    write_crops(
        crops, plan, ((n, np.asarray(Image.open(video / f"img1/{n:06d}.jpg"))) for n in range(1, last + 1))
    )


def label(root: Path, truth: Path) -> None:
    """Does what a user does in label.html: takes the answers from the drawing's truth."""
    with truth.open(newline="") as lines:
        drawn = {row["track_id"]: row for row in csv.DictReader(lines)}
    with (root / "labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for number, row in enumerate(rows):
        person = drawn[row["tracklet"].rpartition("/")[2]]
        row |= {"split": "test" if number % 2 else "train", "hat": person["hat"], "backpack": person["backpack"]}
        row["top color"] = str(number // 2 % 5)
    with (root / "labels.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def test_the_walk_from_a_video_to_a_trained_model(tmp_path: Path) -> None:
    def call(*command: str) -> Done:
        assert command in COMMANDS
        done = call_vpar(*command, *SMALL.get(command[0], ()), folder=tmp_path)
        assert done.returncode == 0, (command, done)
        return done

    video = write_video(tmp_path / "video", people=30, frames=40)
    call("init", "shop")
    cut(video, tmp_path / "shop/crops/shop")
    assert (tmp_path / call("init", "shop").stdout.strip()).is_file()
    label(tmp_path / "shop", video / "truth.csv")
    assert call("check", "shop").stdout == ""
    for command in COMMANDS:
        if command[0] in ("extract", "train", "report"):
            done = call(*command)
    assert "hat" in done.stdout
    assert (tmp_path / "cache/runs/shop/metrics.json").is_file()
