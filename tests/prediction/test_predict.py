"""`vpar predict` on pictures and videos: what comes out, what is left out, and going on after a kill."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support.hostile_files import call_vpar
from tests.support.videos import Person, write_boxes, write_video
from vpar_cache.errors import DataError, Stopped, UserError
from vpar_cache.prediction.config import PeopleConfig, PredictConfig
from vpar_cache.prediction.predict import PredictResult, predict
from vpar_cache.prediction.predictor import EncoderOptions, Predictor
from vpar_cache.runs.load import load_run

Call = Callable[..., PredictResult]


@pytest.fixture
def call(tiny_run: Path) -> Call:
    def run(*inputs: Path, **settings: Any) -> PredictResult:
        predictor = Predictor(load_run(tiny_run), EncoderOptions("cpu"), lambda line: None)
        config = PredictConfig(inputs=inputs, device="cpu", **settings)
        return predict(predictor, config, say=lambda line: None)

    return run


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A video of three people, and its box file."""
    folder = tmp_path_factory.mktemp("street")
    people = [Person(1, 1, 40, 20), Person(2, 5, 30, 120), Person(3, 38, 40, 220)]
    return write_video(folder / "street.mp4", people, frames=40), write_boxes(folder / "boxes.txt", people)


def test_each_track_of_a_box_file_is_a_row(call: Call, street: tuple[Path, Path], tmp_path: Path) -> None:
    video, boxes = street
    out = tmp_path / "p.parquet"
    result = call(video, boxes=(boxes,), out=out)
    rows = {row["track_id"]: row for row in pq.read_table(out).to_pylist()}
    assert rows.keys() == {1, 2}
    assert result.dropped == {"track of fewer than 5 boxes": 1}
    assert [rows[1][name] for name in ("tracklet_id", "source", "first_frame", "last_frame", "frames_used")] == [
        "street.mp4/1", str(video), 1, 40, 2
    ]  # fmt: skip
    assert rows[2]["first_second"] == pytest.approx(4 / 10)
    assert rows[2]["last_second"] == pytest.approx(29 / 10)
    assert not list(tmp_path.glob(".*")), "nothing is left beside the table"


def test_every_format_holds_the_same_rows(call: Call, street: tuple[Path, Path], tmp_path: Path) -> None:
    video, boxes = street
    for name in ("p.parquet", "p.csv", "p.jsonl"):
        call(video, boxes=(boxes,), out=tmp_path / name, windows=1.0)
    table = pq.read_table(tmp_path / "p.parquet").to_pylist()
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text("utf-8").splitlines()]
    cells = list(csv.DictReader(io.StringIO((tmp_path / "p.csv").read_text("utf-8"))))
    assert len(table) == len(lines) == len(cells) == 2
    for parquet, line, cell in zip(table, lines, cells, strict=True):
        assert parquet.keys() == line.keys() == cell.keys() | {"probabilities"}
        for name in ("tracklet_id", "track_id", "top_color", "gender", "first_second"):
            assert str(parquet[name]) == str(line[name]) == cell[name]
        np.testing.assert_allclose(parquet["probabilities"], line["probabilities"], rtol=1e-6)
        assert json.loads(cell["segments"]) == line["segments"]


def test_windows_tell_the_changing_groups_alone(call: Call, street: tuple[Path, Path], tmp_path: Path) -> None:
    video, boxes = street
    call(video, boxes=(boxes,), out=tmp_path / "p.parquet", windows=1.0)
    for row in pq.read_table(tmp_path / "p.parquet").to_pylist():
        for group in ("pose", "motion"):
            parts = [part for part in row["segments"] if part["group"] == group]
            assert parts[0]["first_frame"] == row["first_frame"]
            assert parts[-1]["last_frame"] == row["last_frame"]
            assert all(a["value"] != b["value"] for a, b in pairwise(parts))
        assert {part["group"] for part in row["segments"]} == {"pose", "motion"}
    with pytest.raises(UserError, match="--windows: none of the groups pose"):
        call(video, boxes=(boxes,), windows=1.0, changing=("pose",), hide=("pose",))


def test_one_bad_input_does_not_end_the_rest(call: Call, people: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(people, tmp_path / "people"))
    folders = sorted(root.iterdir())
    (folders[0] / "0000.jpg").write_bytes(b"broken")
    (tmp_path / "notes.txt").write_text("no video")
    (tmp_path / "empty").mkdir()
    result = call(*folders, tmp_path / "notes.txt", tmp_path / "empty", one_person=True)
    assert result.count == len(folders) - 1 or result.count == len(folders)
    assert any("notes.txt" in failure for failure in result.failures)
    assert any("empty" in failure and "no picture" in failure for failure in result.failures)
    with pytest.raises(DataError, match="no input could be used"):
        call(tmp_path / "notes.txt")


def test_a_killed_call_goes_on_and_encodes_no_finished_track_again(
    tiny_run: Path, street: tuple[Path, Path], tmp_path: Path
) -> None:
    video, boxes = street
    predictor = Predictor(load_run(tiny_run), EncoderOptions("cpu", batch_size=2), lambda line: None)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "p.jsonl"
    predict(predictor, PredictConfig(inputs=(video,), boxes=(boxes,), out=whole), say=lambda line: None)
    config = PredictConfig(inputs=(video,), boxes=(boxes,), out=out, device="cpu")
    encode, encoded = predictor.frames.encode, []

    def until_killed(given: Any) -> Any:
        if encoded:
            raise KeyboardInterrupt
        encoded.append(len(given))
        return encode(given)

    predictor.frames.encode = until_killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        predict(predictor, config, say=lambda line: None)
    assert not out.exists()
    again: list[int] = []
    predictor.frames.encode = lambda given: again.append(len(given)) or encode(given)  # type: ignore
    predict(predictor, config, say=lambda line: None)
    assert (encoded, again) == ([1], [1])
    assert out.read_text("utf-8") == whole.read_text("utf-8")


def test_a_call_that_was_stopped_in_the_annotated_video_can_be_given_again(
    call: Call, tiny_run: Path, street: tuple[Path, Path], tmp_path: Path
) -> None:
    video, boxes = street
    files = {"out": tmp_path / "p.csv", "annotate": tmp_path / "a.mp4", "html": tmp_path / "g.html"}
    config = PredictConfig(inputs=(video,), boxes=(boxes,), device="cpu", **files)
    predictor = Predictor(load_run(tiny_run), EncoderOptions("cpu"), lambda line: None)
    with pytest.raises(Stopped):
        predict(predictor, config, say=lambda line: None, stop=lambda: any(tmp_path.glob(".a.mp4.*.partial")))
    assert [path.name for path in tmp_path.iterdir()] == [".p.csv.state"]
    assert call(video, boxes=(boxes,), **files).count == 2
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


def test_finished_people_of_other_settings_are_not_taken(
    call: Call, street: tuple[Path, Path], tmp_path: Path
) -> None:
    video, boxes = street
    state = tmp_path / ".p.jsonl.state"
    state.write_text('{"identity": "another"}\n{"tracklet_id": "street.mp4/1"}\n')
    result = call(video, boxes=(boxes,), out=tmp_path / "p.jsonl")
    assert result.count == 2


def test_an_existing_file_is_replaced_only_on_request(call: Call, people: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    out.write_text("mine")
    with pytest.raises(UserError, match=r"--out.*--overwrite"):
        call(people, out=out)
    assert out.read_text() == "mine"
    call(people, out=out, overwrite=True)
    assert out.read_text().startswith("tracklet_id,")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"out": Path("p.xlsx")}, r"--out: got 'p\.xlsx'"),
        ({"sheet": Path("s.jpg")}, r"--sheet: got 's\.jpg'"),
        ({"annotate": Path("a.mp4")}, "--annotate: got 0 videos"),
        ({"windows": 0.0}, "--windows"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    settings: dict[str, Any], problem: str, call: Call, people: Path
) -> None:
    with pytest.raises(UserError, match=problem):
        call(people, **settings)


def test_the_command_names_what_was_left_out_and_exits_with_1(
    tiny_run: Path, people: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"broken")
    good = sorted(people.rglob("*.jpg"))[0]
    run = ("predict", f"--run={tiny_run}", "--device=cpu", "--out=-")
    done = call_vpar(*run, str(good), "bad.jpg", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith("tracklet_id,source,track_id,")
    assert len(done.stdout.splitlines()) == 2
    assert "left out: bad.jpg: not an image" in done.stderr
    assert call_vpar(*run, str(good), folder=tmp_path).returncode == 0
    done = call_vpar(*run[:3], str(good), folder=tmp_path)
    assert "random weights: these answers have no meaning" in done.stdout


def test_a_detector_of_motion_needs_a_video(call: Call, people: Path) -> None:
    picture = sorted(people.rglob("*.jpg"))[0]
    with pytest.raises(UserError, match="--detector motion needs a video"):
        call(picture, people=PeopleConfig(detector="motion"))
