"""What an input is: nothing is read twice, followed out of its folder, or left out without a word."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from tests.support.videos import Person, picture, write_boxes, write_video
from vpar_cache.errors import DataError, UserError
from vpar_cache.prediction.config import PeopleConfig, PredictConfig
from vpar_cache.prediction.predict import PredictResult, predict
from vpar_cache.prediction.predictor import EncoderOptions, Predictor
from vpar_cache.runs.load import load_run

Call = Callable[..., PredictResult]
PEOPLE = [Person(1, 10, 60, 20), Person(2, 10, 60, 170)]
NAME = "ssdlite320_mobilenet_v3_large"


@pytest.fixture
def call(tiny_run: Path) -> Call:
    def run(*inputs: Path, **settings: Any) -> PredictResult:
        predictor = Predictor(load_run(tiny_run), EncoderOptions("cpu"), lambda line: None)
        config = PredictConfig(inputs=inputs, device="cpu", **settings)
        return predict(predictor, config, say=lambda line: None)

    return run


@pytest.fixture
def crops(people: Path, tmp_path: Path) -> Path:
    """A folder of two pictures."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for number, file in enumerate(sorted(people.rglob("*.jpg"))[:2]):
        shutil.copy(file, folder / f"{number}.jpg")
    return folder


def test_a_picture_that_was_given_twice_has_one_row(call: Call, crops: Path, tmp_path: Path) -> None:
    result = call(crops, crops / "0.jpg", out=tmp_path / "p.parquet")
    assert result.dropped == {"picture that was given twice": 1}
    names = pq.read_table(tmp_path / "p.parquet")["tracklet_id"].to_pylist()
    assert names == [str(crops / "0.jpg"), str(crops / "1.jpg")]
    with pytest.raises(UserError, match=r"INPUT: got .*crops twice"):
        call(crops, crops.parent / "crops" / ".." / "crops")


def test_every_input_has_its_own_name(tmp_path: Path) -> None:
    from vpar_cache.prediction.inputs import list_inputs

    paths = [tmp_path / folder / name for folder, name in (("a", "x"), ("b", "x"), ("c", "x-2"))]
    for path in paths:
        path.mkdir(parents=True)
    names = [given.name for given in list_inputs(PredictConfig(inputs=tuple(paths)))]
    assert len(set(names)) == 3, names


def test_a_video_does_not_change_what_is_found_in_the_next(call: Call, tmp_path: Path) -> None:
    bright = [np.full((180, 320, 3), 220, np.uint8)] * 30
    first = write_video(tmp_path / "first.mp4", [], frames=30, pictures=bright)
    second = write_video(tmp_path / "second.mp4", PEOPLE, frames=70)
    motion = PeopleConfig(detector="motion")
    call(first, second, people=motion, out=tmp_path / "both.parquet")
    call(second, people=motion, out=tmp_path / "alone.parquet")
    rows = [pq.read_table(tmp_path / f"{name}.parquet").to_pylist() for name in ("both", "alone")]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2


def test_other_files_and_links_of_a_folder_are_named(call: Call, crops: Path, tmp_path: Path) -> None:
    (crops / "clip.mp4").write_bytes(b"a video")
    (crops / "README").write_text("notes")
    (crops / ".hidden.jpg").write_bytes(b"of a file manager")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(crops / "0.jpg", elsewhere / "secret.jpg")
    (crops / "link").symlink_to(elsewhere)
    (crops / "link.jpg").symlink_to(elsewhere / "secret.jpg")
    result = call(crops)
    assert result.count == 2
    assert result.dropped == {"file that is no picture (.mp4)": 1, "file that is no picture (no ending)": 1}
    assert len(result.failures) == 2
    for name, failure in zip(("link.jpg: ", "link: "), sorted(result.failures), strict=True):
        assert failure.startswith(f"{crops / name}a link, which is not followed")


def test_a_link_that_was_named_is_followed(call: Call, crops: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", PEOPLE, frames=70)
    boxes = write_boxes(tmp_path / "a.txt", PEOPLE)
    for name, target in (("l.jpg", crops / "0.jpg"), ("l.mp4", video), ("l.txt", boxes), ("l", crops)):
        (tmp_path / name).symlink_to(target)
    result = call(tmp_path / "l.jpg", tmp_path / "l.mp4", tmp_path / "l", boxes=(tmp_path / "l.txt",))
    assert (result.count, result.failures) == (5, ())


@pytest.mark.parametrize(
    "name", ["two\nlines.jpg", "-x.jpg", "ä 日本.jpg", os.fsdecode(b"\xff\xfe.jpg"), "a:b.jpg"]
)
def test_any_name_of_a_file_comes_out_in_every_format(name: str, call: Call, crops: Path, tmp_path: Path) -> None:
    (crops / "0.jpg").rename(crops / name)
    rest: dict[str, Path | None] = {"sheet": tmp_path / "s.png", "html": tmp_path / "g.html"}
    for out in ("p.csv", "p.jsonl", "p.parquet"):
        assert call(crops, out=tmp_path / out, **rest).count == 2
        rest = {"keep_features": tmp_path / "kept.h5"} if out == "p.csv" else {}


def test_a_name_with_a_colon_is_a_file_and_no_protocol(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.mp4", PEOPLE, frames=70).rename(tmp_path / "a:b.mp4")
    write_boxes(tmp_path / "a.txt", PEOPLE)
    monkeypatch.chdir(tmp_path)
    call(Path("a:b.mp4"), boxes=(Path("a.txt"),), annotate=Path("c:d.mp4"))
    assert (tmp_path / "c:d.mp4").stat().st_size > 1000


@pytest.mark.parametrize("kind", ["tif", "jp2", "webm"])
def test_a_picture_of_another_format_is_no_video_without_people(kind: str, call: Call, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    Image.new("RGB", (40, 90)).save(path, {"tif": "TIFF", "jp2": "JPEG2000", "webm": "PNG"}[kind])
    with pytest.raises(
        DataError, match=r"got a picture \((tiff|j2k|jpegxl|png|image2).*Convert or rename it|not a video"
    ):
        call(path, people=PeopleConfig(detector="motion"))


def test_a_file_to_write_is_never_one_to_read(call: Call, crops: Path, tmp_path: Path) -> None:
    video, boxes = write_video(tmp_path / "a.mp4", PEOPLE, frames=70), write_boxes(tmp_path / "a.csv", PEOPLE)
    (tmp_path / "b.mp4").hardlink_to(video)
    before = video.read_bytes()
    for settings in ({"annotate": video}, {"annotate": tmp_path / "b.mp4"}, {"out": boxes}):
        with pytest.raises(UserError, match=r"--(annotate|out): got .*, which is an input"):
            call(video, boxes=(boxes,), overwrite=True, **settings)
    with pytest.raises(UserError, match="--boxes: got 1 file for 0 videos"):
        call(crops, boxes=(boxes,))
    with pytest.raises(UserError, match=r"--sheet: got .*s\.png' in the input"):
        call(crops, sheet=crops / "s.png")
    assert video.read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"boxes": (Path("nope.txt"),)}, r"--boxes: got 'nope\.txt', which is not a file"),
        ({"people": PeopleConfig(detector="motion")}, "--detector motion needs a video, .*crops"),
        (
            {"people": PeopleConfig(detector="torchvision:x"), "one_person": True},
            "--one-person cannot be combined",
        ),
        ({"windows": 1.0}, "--windows: got no video"),
        ({"changing": ("pose", "motoin")}, r"--changing: got 'motoin'.*did you mean 'motion'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_read(
    settings: dict[str, Any], problem: str, call: Call, crops: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=problem):
        call(crops, out=tmp_path / "p.csv", **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["crops"], "nothing is left"


@pytest.mark.parametrize("options", [{"precision": "fp8"}, {"batch_size": 0}])
def test_options_of_the_encoder_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"--(precision|batch-size).*(fp8|0)"):
        EncoderOptions("cpu", **options)


def test_a_detector_searches_each_picture_of_a_folder(call: Call, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = models.get_model(NAME, weights=None, weights_backbone=None, num_classes=91)
    with torch.no_grad():
        for head in model.head.classification_head.module_list:
            head[1].bias.view(-1, 91)[:, 1] += 3  # (anchors, classes)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    scenes = tmp_path / "scenes"
    (scenes / "in").mkdir(parents=True)
    for name in ("1.png", "in/2.png"):
        Image.fromarray(picture(PEOPLE, 20)).save(scenes / name)
    detector = PeopleConfig(
        detector=f"torchvision:{NAME}", detector_weights=tmp_path / "w.safetensors", min_score=0.0
    )
    call(scenes, people=detector, out=tmp_path / "p.parquet")
    rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    names = {str(scenes / "1.png"), str(scenes / "in" / "2.png")}
    assert {row["tracklet_id"].rpartition("/")[0] for row in rows} == names
    assert {row["source"] for row in rows} == {str(scenes)}
    nobody = PeopleConfig(
        detector=f"torchvision:{NAME}", detector_weights=tmp_path / "w.safetensors", min_score=1.0
    )
    again = call(scenes, scenes / "1.png", people=detector)
    assert again.dropped["picture that was given twice"] == len(rows) // 2
    assert call(scenes, people=nobody).dropped == {"picture in which nobody was found": 2}
