"""The commands of docs/own-data.md run as they stand, on a drawn video."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.hostile_files import Done, call_vpar
from tests.support.layers import PROJECT
from vpar_cache.datasets.demo.video import encode_video, write_video

pytest.importorskip("av")
pytest.importorskip("trackers")
COMMANDS = [
    tuple(shlex.split(line)[1:])
    for block in re.findall(r"^```sh\n(.*?)^```", (PROJECT / "docs/own-data.md").read_text("utf-8"), re.M | re.S)
    for line in block.splitlines()
]
SMALL = {
    "track": ("--detector", "motion"),
    "extract": ("--backbone", "timm:test_vit", "--weights", "random:0", "--text", "none", "--frames", "2"),
    "train": ("--model", "linear", "--epochs", "2"),
}
"""Options that make a stage fast, and let it run without weights."""


def draw_video(folder: Path, name: str, frames: int, seed: int) -> Path:
    """Draw NAME.mp4 with its box file NAME.txt, and return the folder with the truth about its people."""
    drawn = write_video(folder / f"drawn-{name}", people=30, frames=frames, seed=seed)
    encode_video(drawn, folder / f"{name}.mp4")
    shutil.copy(drawn / "gt/gt.txt", folder / f"{name}.txt")
    return drawn


def drawn_person(drawn: Path, boxes: Path) -> dict[str, str]:
    """Return, for each track of a box file, the drawn person whose boxes are nearest to most of its boxes."""
    truth, found = (np.loadtxt(path, delimiter=",")[:, :6] for path in (drawn / "gt/gt.txt", boxes))  # (n, 6) each
    nearest: dict[str, Counter[str]] = {}
    for frame, track, left, top, width, height in found:
        here = truth[truth[:, 0] == frame]  # (p, 6)
        centres = here[:, 2:4] + here[:, 4:6] / 2  # (p, 2)
        distances = np.hypot(*(centres - (left + width / 2, top + height / 2)).T)  # (p,)
        nearest.setdefault(f"{track:.0f}", Counter())[f"{here[distances.argmin(), 1]:.0f}"] += 1
    return {track: counts.most_common(1)[0][0] for track, counts in nearest.items()}


def label(root: Path, drawn: Path, person_of: dict[str, str]) -> None:
    """Does what a user does in label.html: takes the answers from the drawing's truth."""
    with (drawn / "truth.csv").open(newline="") as lines:
        truth = {row["track_id"]: row for row in csv.DictReader(lines)}
    with (root / "labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for number, row in enumerate(rows):
        person = truth[person_of[row["tracklet"].rpartition("/")[2]]]
        row |= {"split": "test" if number % 2 else "train", "hat": person["hat"], "backpack": person["backpack"]}
        row["top color"] = str(number // 2 % 5)
    with (root / "labels.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


@pytest.mark.slow
def test_the_walk_from_a_video_to_predictions_on_another(tmp_path: Path) -> None:
    done = []

    def call(*command: str) -> Done:
        assert command in COMMANDS
        done.append(command)
        result = call_vpar(*command, *SMALL.get(command[0], ()), folder=tmp_path)
        assert result.returncode == 0, (command, result)
        return result

    drawn = draw_video(tmp_path, "shop", frames=120, seed=1)
    draw_video(tmp_path, "other", frames=40, seed=2)
    call("init", "shop")
    call("track", "shop.mp4", "--out", "boxes.txt")
    result = call("init", "shop", "--video", "shop.mp4", "--from-tracks", "boxes.txt")
    assert (tmp_path / result.stdout.strip()).is_file()
    label(tmp_path / "shop", drawn, drawn_person(drawn, tmp_path / "boxes.txt"))
    assert call("check", "shop").stdout == ""
    for command in COMMANDS:
        if command not in done:
            call(*command)
    with (tmp_path / "other.csv").open(newline="") as lines:
        people = list(csv.DictReader(lines))
    assert len(people) > 10
    assert {person["hat"] for person in people} <= {"yes", "no"}
    assert {person["top_color"] for person in people} <= {"black", "white", "red", "blue", "other", "unknown"}
    assert (tmp_path / "other.html").is_file()
