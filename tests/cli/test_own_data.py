"""`vpar init` and `vpar check` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Call

BOTH = ("--video", "a.mp4", "--from-tracks", "b.txt")


def test_init_then_check_say_what_is_next_and_what_is_missing(vpar: Call, tmp_path: Path) -> None:
    done = vpar("init", "shop")
    assert (done.returncode, done.stdout) == (0, "")
    assert "next: name your attributes" in done.stderr
    (tmp_path / "shop/crops/a").mkdir(parents=True)
    Image.new("RGB", (4, 8)).save(tmp_path / "shop/crops/a/1.jpg")
    done = vpar("init", "shop")
    assert (done.returncode, done.stdout) == (0, "shop/label.html\n")
    assert "1 tracklet; written: labels.csv, label.html; kept as they are: schema.toml, README.md" in done.stderr
    done = vpar("check", "shop")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith("shop/labels.csv line 2: the tracklet has no label")
    assert "1 frame decoded: 3 findings" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["init", "shop", "--video", "a.mp4"], ["--from-tracks", "0 box files", "1 video"]),
        (["init", "shop", "--from-tracks", "b.txt"], ["--from-tracks", "1 box file", "0 videos"]),
        (
            ["init", "shop", "--video", "a.mp4", "--from-tracks", "b", "--min-frames", "0"],
            ["--min-frames", "got 0"],
        ),
        (["check", "nowhere"], ["nowhere", "vpar init"]),
        (["check", ".", "--follow-links", "nowhere"], ["--follow-links", "nowhere"]),
    ],
)
def test_an_error_is_one_line_and_writes_nothing(
    vpar: Call, arguments: list[str], parts: list[str], tmp_path: Path
) -> None:
    done = vpar(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert all(part in done.stderr for part in parts), done.stderr
    assert not list(tmp_path.iterdir())
