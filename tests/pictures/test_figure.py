"""Pictures of predictions and of attention, from a run and the dataset's own frames."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vpar_cache.datasets.tracklet import Tracklet
from vpar_cache.errors import CacheError, UserError
from vpar_cache.pictures.figure import FigureConfig, draw_figure, shown_frames
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train


@pytest.fixture(scope="module")
def runs(tiny_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of vtf and one of linear on the small cache."""
    root = tmp_path_factory.mktemp("runs")
    for model in ("vtf", "linear"):
        settings: dict[str, Any] = {"dim": 32, "heads": 2, "epochs": 1, "device": "cpu", "recipe": "paper"}
        train(TrainConfig(features=tiny_cache, runs=root, name=model, model=model, **settings))
    return root


def draw(runs: Path, root: Path, out: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {"run": Path("vtf"), "runs": runs, "dataset": "mars", "root": root, "out": out}
    return draw_figure(FigureConfig(**{**settings, **changes}))


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_a_picture_has_a_row_for_each_tracklet(runs: Path, demo_root: Path, tmp_path: Path) -> None:
    four = draw(runs, demo_root, tmp_path / "four.png")
    assert four.read_bytes() == draw(runs, demo_root, tmp_path / "again.png").read_bytes()
    ids = sorted(p.name[:11] for p in (demo_root / "bbox_test").rglob("*.jpg") if p.name[:4] > "0000")
    single = draw(runs, demo_root, tmp_path / "single.png", tracklets=(ids[0],))
    assert size(single)[0] == size(four)[0]
    assert size(single)[1] < size(four)[1] / 2


def test_an_existing_picture_is_replaced_only_when_asked(runs: Path, demo_root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("years of work")
    with pytest.raises(UserError, match=r"--out.*a\.png.*--overwrite"):
        draw(runs, demo_root, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "years of work"
    assert size(draw(runs, demo_root, tmp_path / "a.png", overwrite=True))[0] > 0


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (9, [1, 4, 7])])
def test_a_tracklet_shows_at_most_three_frames_and_none_twice(
    count: int, expected: list[int], tmp_path: Path
) -> None:
    names = tuple(f"{i}.png" for i in range(count))
    for i, name in enumerate(names):
        Image.new("RGB", (8, 16), (20 * i, 0, 0)).save(tmp_path / name)
    tracklet = Tracklet(
        "0001C1T0001", "test", 1, 1, tmp_path, names, np.zeros(43, np.uint8), np.zeros(7, np.uint8)
    )
    assert [int(frame[0, 0, 0]) // 20 for frame in shown_frames(tracklet)] == expected


def test_attention_is_drawn_for_each_output(runs: Path, demo_root: Path, tiny_cache: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"features": (tiny_cache,)}
    one = draw(runs, demo_root, tmp_path / "1.png", attention=("backpack",), **options)
    two = draw(runs, demo_root, tmp_path / "2.png", attention=("backpack", "hat"), **options)
    assert size(two)[0] > size(one)[0]
    with Image.open(two) as image:
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": Path("x.jpg")}, "--out: got 'x.jpg'"),
        ({"tracklets": ("0001C1T9999",)}, "'0001C1T9999' is not a test tracklet"),
        ({"attention": ("hut",), "features": True}, "--attention 'hut' is not an output of mars.*hat"),
        (
            {"attention": ("hat",), "features": True, "run": Path("linear")},
            "got linear, a run of linear",
        ),
        ({"attention": ("hat",) * 9, "features": True}, "--attention: got 9 outputs; expected at most 8"),
    ],
)
def test_a_wrong_request_is_one_line(
    changes: dict[str, Any], message: str, runs: Path, demo_root: Path, tiny_cache: Path, tmp_path: Path
) -> None:
    if "features" in changes:
        changes = {**changes, "features": (tiny_cache,)}
    with pytest.raises(UserError, match=message):
        draw(runs, demo_root, **{"out": tmp_path / "x.png", **changes})
    assert list(tmp_path.iterdir()) == []


def test_attention_on_another_cache_is_refused(
    runs: Path, demo_root: Path, extract_config: Any, tmp_path: Path
) -> None:
    from vpar_cache.extraction.extract import extract

    other = extract(extract_config(tmp_path / "other.h5", frames=1)).index
    with pytest.raises(CacheError, match=r"--features: got .*other\.h5; expected what .* was trained on"):
        draw(runs, demo_root, tmp_path / "x.png", attention=("hat",), features=(other,))


def test_a_run_without_a_threshold_for_each_output_is_refused(runs: Path, demo_root: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs / "linear", tmp_path / "copy"))
    record = json.loads((copy / "run.json").read_text("utf-8"))
    del record["thresholds"]["hat"]
    (copy / "run.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(CacheError, match=r"run\.json.*'hat'"):
        draw(runs, demo_root, tmp_path / "x.png", run=copy)


@pytest.mark.slow
def test_attention_of_a_temporal_run_is_drawn_from_its_frames(
    extract_config: Any, demo_root: Path, tmp_path: Path
) -> None:
    from vpar_cache.extraction.extract import extract

    frames = extract(extract_config(tmp_path / "frames.h5", keep_frames=True)).index
    settings: dict[str, Any] = {"dim": 32, "heads": 2, "epochs": 1, "device": "cpu", "recipe": "paper"}
    train(TrainConfig(features=frames, runs=tmp_path, name="temporal", model="vtf-temporal", **settings))
    picture = draw(
        tmp_path, demo_root, tmp_path / "x.png", run=Path("temporal"), attention=("hat",), features=(frames,)
    )
    with Image.open(picture) as image:
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 100


def test_attention_reads_the_cache_that_the_run_names(
    runs: Path, demo_root: Path, tiny_cache: Path, tmp_path: Path
) -> None:
    named = draw(runs, demo_root, tmp_path / "1.png", attention=("hat",), features=(tiny_cache,))
    assert draw(runs, demo_root, tmp_path / "2.png", attention=("hat",)).read_bytes() == named.read_bytes()
    copy = Path(shutil.copytree(runs / "vtf", tmp_path / "copy"))
    record = json.loads((copy / "run.json").read_text("utf-8"))
    (copy / "run.json").write_text(json.dumps({**record, "features": ["gone.h5"]}), "utf-8")
    with pytest.raises(UserError, match=r"--features: .*'gone\.h5'"):
        draw(runs, demo_root, tmp_path / "x.png", run=copy, attention=("hat",))


@pytest.mark.parametrize(("ending", "start"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")])
@pytest.mark.slow
def test_the_ending_chooses_the_format(
    runs: Path, demo_root: Path, tmp_path: Path, ending: str, start: bytes
) -> None:
    assert draw(runs, demo_root, tmp_path / f"a.{ending}").read_bytes().startswith(start)
