"""Where nobody is found, or nobody is left: every file that was asked for, and one line that says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet as pq
import pytest

from tests.prediction.outputs.test_gallery import ANSWERING, person
from tests.support.hostile_files import call_vpar
from tests.support.videos import Person, write_boxes, write_video
from vpar_cache.prediction.config import PeopleConfig, PredictConfig
from vpar_cache.prediction.inputs import list_inputs
from vpar_cache.prediction.predict import PredictResult, predict
from vpar_cache.prediction.predictor import EncoderOptions, Predictor
from vpar_cache.runs.load import load_run

PEOPLE = [Person(1, 1, 20, 20)]
MOTION = PeopleConfig(detector="motion")
Call = Callable[..., tuple[PredictResult, list[str]]]


@pytest.fixture
def call(tiny_run: Path) -> Call:
    def run(*inputs: Path, **settings: Any) -> tuple[PredictResult, list[str]]:
        said: list[str] = []
        predictor = Predictor(load_run(tiny_run), EncoderOptions("cpu"), lambda line: None)
        config = PredictConfig(inputs=inputs, device="cpu", **settings)
        return predict(predictor, config, say=said.append), said

    return run


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A video of nobody."""
    return write_video(tmp_path / "empty.mp4", [], frames=20)


def test_a_video_of_nobody_gives_every_file_without_people(call: Call, empty: Path, tmp_path: Path) -> None:
    names = {"out": "p.parquet", "sheet": "s.png", "annotate": "a.mp4", "html": "g.html"}
    files = {option: tmp_path / name for option, name in names.items()}
    result, said = call(empty, people=MOTION, **files)
    assert (result.count, result.failures) == (0, ())
    assert set(result.files.values()) == set(files.values())
    assert [line for line in said if "no person was found; lower --min-score" in line] == said[-1:]
    table = pq.read_table(files["out"])
    assert table.num_rows == 0
    assert "gender" in table.column_names
    with av.open(str(files["annotate"])) as container:
        assert sum(1 for _ in container.decode(video=0)) == 20, "the video is there, without boxes"
    assert sorted(tmp_path.iterdir()) == sorted([empty, *files.values()])


def test_who_is_dropped_by_a_limit_is_said_with_the_option(call: Call, tmp_path: Path) -> None:
    video, boxes = write_video(tmp_path / "a.mp4", PEOPLE, frames=20), write_boxes(tmp_path / "a.txt", PEOPLE)
    _, said = call(video, boxes=(boxes,), people=PeopleConfig(min_frames=100))
    assert said[-1].startswith("nobody to predict: 1 x track of fewer than 100 boxes; lower --min-frames")


def test_there_are_no_features_of_nobody(call: Call, empty: Path, tmp_path: Path) -> None:
    result, said = call(empty, people=MOTION, keep_features=tmp_path / "k.h5")
    assert result.files == {}
    assert said[-1] == "keep-features: not written, since there is nobody to keep"
    assert list(tmp_path.iterdir()) == [empty]


def test_the_command_succeeds_and_says_what_was_dropped_where_the_table_is_on_stdout(
    tiny_run: Path, tmp_path: Path
) -> None:
    write_video(tmp_path / "a.mp4", PEOPLE, frames=20)
    write_boxes(tmp_path / "a.txt", PEOPLE)
    given = ("predict", f"--run={tiny_run}", "--device=cpu", "a.mp4", "--boxes=a.txt", "--min-frames=50")
    done = call_vpar(*given, "--out=-", folder=tmp_path)
    assert done.returncode == 0
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["tracklet_id"]
    assert "dropped: 1 x track of fewer than 50 boxes" in done.stderr


def test_the_video_that_was_left_out_is_not_annotated_and_the_rest_is_kept(
    call: Call, people: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"broken")
    picture = sorted(people.rglob("*.jpg"))[0]
    files = {"annotate": tmp_path / "a.mp4", "out": tmp_path / "p.csv"}
    result, said = call(tmp_path / "bad.mp4", picture, people=PeopleConfig(), **files)
    assert result.files == {"--out": tmp_path / "p.csv"}
    assert said[-1] == "annotate: not written, since its video was left out"
    assert [failure.count("bad.mp4") for failure in result.failures] == [1], "its name once"


def test_people_of_pictures_do_not_label_those_of_the_video_with_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vpar_cache.prediction.outputs import write

    labels: list[Any] = []
    monkeypatch.setattr(write, "annotate", lambda video, boxes, given, *rest: labels.append(given))
    video, boxes = write_video(tmp_path / "a.mp4", PEOPLE, frames=20), write_boxes(tmp_path / "a.txt", PEOPLE)
    config = PredictConfig(inputs=(video,), boxes=(boxes,), annotate=tmp_path / "o.mp4")
    rows = [person(1, {"gender": 0}), person(1, {"gender": 0}, tracklet_id="scene.png/1")]
    rows += [person(2, {}, tracklet_id="scene.png/2")]
    nothing: Any = lambda *_: None  # noqa: E731
    write.write_pictures(config, list_inputs(config), None, rows[1:], ANSWERING, "", nothing, nothing, nothing)
    write.write_pictures(config, list_inputs(config), None, rows, ANSWERING, "", nothing, nothing, nothing)
    assert [list(given) for given in labels] == [[], [1]]


def test_failed_outputs_take_the_finished_ones_with_them_so_that_the_command_can_be_given_again(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vpar_cache.errors import CacheError
    from vpar_cache.prediction.outputs import write

    video, boxes = write_video(tmp_path / "a.mp4", PEOPLE, frames=20), write_boxes(tmp_path / "a.txt", PEOPLE)
    files = {"annotate": tmp_path / "o.mp4", "sheet": tmp_path / "s.png", "out": tmp_path / "p.csv"}

    def full(*_: object) -> int:
        raise CacheError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(write, "draw_sheet", full)
        with pytest.raises(CacheError, match="no space"):
            call(video, boxes=(boxes,), **files)
    assert not any(path.exists() for path in files.values())
    result, said = call(video, boxes=(boxes,), **files)
    assert said[0] == "1 person is finished already"
    assert set(result.files.values()) == set(files.values())
    assert result.count == 1


def test_attributes_are_all_shown_beside_the_person_in_a_narrow_terminal(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.mp4", PEOPLE, frames=20)
    write_boxes(tmp_path / "a.txt", PEOPLE)
    words = []
    for columns in ("400", "120", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        done = call_vpar("predict", f"--run={tiny_run}", "--device=cpu", "a.mp4", "--boxes=a.txt", folder=tmp_path)
        assert max(map(len, done.stdout.splitlines())) <= int(columns)
        assert done.stdout.count("Person") == 1, "one table"
        words.append(sorted(done.stdout.split("\n", 3)[3].replace(",", " ").split()))
    assert words[0] == words[1] == words[2]
