"""The commands of docs/own-data.md run as they stand, on a drawn video."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.support.hostile_files import Done, call_vpar
from tests.support.layers import PROJECT
from vpar_cache.datasets.demo.video import write_video

av = pytest.importorskip("av")
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


def draw_video(folder: Path, name: str, seed: int) -> Path:
    """Draw NAME.mp4 with its box file NAME.txt, and return the truth about its people."""
    drawn = write_video(folder / f"drawn-{name}", people=30, frames=40, seed=seed)
    with av.open(str(folder / f"{name}.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for file in sorted((drawn / "img1").iterdir()):
            with Image.open(file) as image:
                container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())
    shutil.copy(drawn / "gt/gt.txt", folder / f"{name}.txt")
    return drawn / "truth.csv"


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


def test_the_walk_from_a_video_to_predictions_on_another(tmp_path: Path) -> None:
    def call(*command: str) -> Done:
        assert command in COMMANDS
        done = call_vpar(*command, *SMALL.get(command[0], ()), folder=tmp_path)
        assert done.returncode == 0, (command, done)
        return done

    truth = draw_video(tmp_path, "shop", seed=0)
    (tmp_path / "shop.txt").rename(tmp_path / "boxes.txt")  # as the tracker of the page writes it
    draw_video(tmp_path, "other", seed=1)
    call("init", "shop")
    done = call("init", "shop", "--video", "shop.mp4", "--from-tracks", "boxes.txt")
    assert (tmp_path / done.stdout.strip()).is_file()
    label(tmp_path / "shop", truth)
    assert call("check", "shop").stdout == ""
    for command in COMMANDS:
        if command[0] in ("extract", "train", "report", "predict"):
            done = call(*command)
    with (tmp_path / "people.csv").open(newline="") as lines:
        people = list(csv.DictReader(lines))
    assert len(people) > 10
    assert {person["hat"] for person in people} <= {"yes", "no"}
    assert {person["top_color"] for person in people} <= {"black", "white", "red", "blue", "other", "unknown"}
    assert (tmp_path / "people.html").is_file()
