"""`vpar train --labels`: labels and splits for a cache of kept features, without reading a frame."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.hostile_files import call_vpar
from vpar_cache.cache.features import open_features
from vpar_cache.cache.info import describe_cache
from vpar_cache.cache.verify import verify_cache
from vpar_cache.datasets.mars import load_mars
from vpar_cache.errors import DataError, UserError
from vpar_cache.prediction.config import PredictConfig
from vpar_cache.prediction.predict import predict
from vpar_cache.prediction.predictor import EncoderOptions, Predictor
from vpar_cache.runs.load import load_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train
from vpar_cache.workflows.label_cache import LabelConfig, label_cache

Rows = list[dict[str, object]]

SCHEMA = """
name = "shop"

[[group]]
name = "hat"
phrase = "a hat"
negative = "no hat"

[[group]]
name = "top color"
values = ["red", "blue", "other"]
phrases = ["a red top", "a blue top", "a top of another color"]
"""


@pytest.fixture(scope="module")
def kept_once(tiny_run: Path, people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kept") / "kept.h5"
    config = PredictConfig(inputs=(people,), one_person=True, keep_features=out, device="cpu")
    predict(Predictor(load_run(tiny_run), EncoderOptions("cpu"), lambda line: None), config, say=lambda line: None)
    return out


@pytest.fixture
def kept(kept_once: Path, tmp_path: Path) -> Path:
    """A cache without labels, of the tracklets of the small dataset. Its ids are the paths of the folders."""
    return Path(shutil.copytree(kept_once.parent, tmp_path / "kept")) / kept_once.name


@pytest.fixture
def truth(demo_root: Path, kept: Path, tiny_cache: Path) -> Rows:
    """A row of a label file for each kept tracklet, in another order than theirs."""
    extracted = open_features(tiny_cache)
    schema = extracted.schema
    rows = []
    for tracklet in load_mars(demo_root).tracklets:
        folder = next(i for i in open_features(kept).tracklet_ids if i.endswith(f"/{tracklet.tracklet_id}"))
        values: dict[str, object] = {}
        for group, columns in schema.slices():
            found = tracklet.labels[columns]  # (A of the group,)
            values[group.name] = int(found.argmax()) if group.is_choice else int(found[0])
        rows.append({"tracklet_id": folder, "split": tracklet.split, "person_id": tracklet.person_id, **values})
    return rows[::-1]


def write(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def test_the_labels_are_those_of_an_extraction(kept: Path, truth: Rows, tiny_cache: Path, tmp_path: Path) -> None:
    shards = {path: path.read_bytes() for path in kept.with_suffix("").iterdir()}
    said: list[str] = []
    label_cache(kept, LabelConfig(write(tmp_path / "labels.csv", truth)), said.append)
    verify_cache(kept)
    ours, theirs = open_features(kept), open_features(tiny_cache)
    place = {Path(name).name: row for row, name in enumerate(ours.tracklet_ids)}
    rows = [place[name] for name in theirs.tracklet_ids]
    np.testing.assert_array_equal(ours.labels[rows], theirs.labels)
    np.testing.assert_array_equal(ours.known[rows], theirs.known)
    np.testing.assert_array_equal(ours.splits[rows], theirs.splits)
    np.testing.assert_array_equal(ours.person_ids[rows], theirs.person_ids)
    np.testing.assert_allclose(ours.text, theirs.text, atol=1e-5)
    np.testing.assert_allclose(ours.text_negative, theirs.text_negative, atol=1e-5)
    assert ours.people_known
    assert not [line for line in said if "left out" in line or "no tracklet" in line]
    assert {path: path.read_bytes() for path in kept.with_suffix("").iterdir()} == shards


def test_a_run_on_kept_features_scores_as_one_on_an_extraction(
    kept: Path, truth: Rows, tiny_cache: Path, tmp_path: Path
) -> None:
    label_cache(kept, LabelConfig(write(tmp_path / "labels.csv", truth)), lambda line: None)
    found = []
    for cache in (kept, tiny_cache):
        config = TrainConfig.of_recipe(
            "paper", features=cache, runs=tmp_path / "runs", model="zero-shot", name=cache.stem, device="cpu"
        )
        found.append(train(config, say=lambda line: None).metrics)
    assert found[0]["scores"]["vtf"]["average"] == pytest.approx(found[1]["scores"]["vtf"]["average"], abs=1e-6)


def test_what_has_no_partner_is_counted_and_named(kept: Path, truth: Rows, tmp_path: Path) -> None:
    missing, without = truth[0]["tracklet_id"], truth[1]["tracklet_id"]
    empty = dict.fromkeys(truth[1], "") | {"tracklet_id": without, "person_id": truth[1]["person_id"]}
    rows = [{**truth[2], "tracklet_id": "elsewhere/9"}, empty, *truth[2:]]
    said: list[str] = []
    label_cache(kept, LabelConfig(write(tmp_path / "labels.csv", rows)), said.append)
    assert [line for line in said if line.startswith("2 tracklets ") and str(missing) in line]
    assert [line for line in said if line.startswith("1 label row ") and "elsewhere/9" in line]
    features = open_features(kept)
    assert features.count_splits()["none"] == 2
    people = describe_cache(kept)["people"]
    assert people.keys() == {"train", "test"}
    train(TrainConfig(features=kept, runs=tmp_path, model="linear", epochs=1, device="cpu"), say=lambda line: None)


def test_labels_of_another_schema_replace_the_first_ones(kept: Path, truth: Rows, tmp_path: Path) -> None:
    label_cache(kept, LabelConfig(write(tmp_path / "labels.csv", truth)), lambda line: None)
    (tmp_path / "shop.toml").write_text(SCHEMA, "utf-8")
    rows = [
        {"tracklet": row["tracklet_id"], "split": row["split"], "hat": number % 2, "top color": number % 3}
        for number, row in enumerate(truth)
    ]
    config = LabelConfig(write(tmp_path / "shop.csv", rows), str(tmp_path / "shop.toml"))
    label_cache(kept, config, lambda line: None)
    verify_cache(kept)
    features = open_features(kept)
    assert [group.name for group in features.schema.groups] == ["hat", "top color"]
    assert features.text.shape[0] == features.labels.shape[1] == 4
    assert not features.people_known
    by_id = dict(zip(features.tracklet_ids, features.labels.tolist(), strict=True))
    for number, row in enumerate(truth):
        assert by_id[str(row["tracklet_id"])] == [number % 2, *(int(number % 3 == value) for value in range(3))]


def test_phrases_that_are_there_need_no_encoder(
    kept: Path, truth: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = write(tmp_path / "labels.csv", truth)
    label_cache(kept, LabelConfig(labels), lambda line: None)
    before = kept.read_bytes()
    label_cache(kept, LabelConfig(labels, weights="no/such/file.safetensors"), lambda line: None)
    assert kept.read_bytes() == before, "the same labels give the same bytes"


def twice(rows: Rows) -> Rows:
    return [rows[0], *rows]


def foreign(rows: Rows) -> Rows:
    return [{**row, "tracklet_id": f"x{number}"} for number, row in enumerate(rows)]


def no_split(rows: Rows) -> Rows:
    return [{**rows[0], "split": "tset"}, *rows[1:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (twice, r"labels\.csv line 3, column 'tracklet': .* line 2"),
        (foreign, r"--labels: .*first: x0.*tracklet_id"),
        (no_split, r"column 'split': 'tset'"),
    ],
)
def test_a_label_file_that_does_not_fit_changes_nothing(
    kept: Path,
    truth: Rows,
    tmp_path: Path,
    change: Callable[..., Rows],
    message: str,
) -> None:
    before = kept.read_bytes()
    with pytest.raises(DataError, match=message):
        label_cache(kept, LabelConfig(write(tmp_path / "labels.csv", change(truth))), lambda line: None)
    assert kept.read_bytes() == before


def test_other_weights_than_those_of_the_cache_are_refused(kept: Path, truth: Rows, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--weights: got random:1 with digest .* expected .*random:0"):
        label_cache(kept, LabelConfig(write(tmp_path / "labels.csv", truth), weights="random:1"))


def test_an_extracted_cache_keeps_its_labels(extracted: Path, truth: Rows, tmp_path: Path) -> None:
    before = extracted.read_bytes()
    with pytest.raises(UserError, match=r"--labels: got .*mars"):
        label_cache(extracted, LabelConfig(write(tmp_path / "labels.csv", truth)))
    assert extracted.read_bytes() == before


def test_the_command_trains_on_the_labels(kept: Path, truth: Rows, tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.csv", truth)
    train_it = ("train", "--features", str(kept), "--model", "linear", "--epochs", "1", "--device", "cpu")
    done = call_vpar(*train_it, folder=tmp_path)
    assert done.returncode == 2
    assert "--labels" in done.stderr
    # The command knows no tiny network, so the phrases are there before.
    label_cache(kept, LabelConfig(labels), lambda line: None)
    done = call_vpar(*train_it, "--labels", str(labels), folder=tmp_path)
    assert done.returncode == 0, done
    assert (tmp_path / done.stdout.strip() / "run.json").is_file()
    done = call_vpar(*train_it, "--schema", "mars", folder=tmp_path)
    assert done.returncode == 2
    assert "--schema" in done.stderr
