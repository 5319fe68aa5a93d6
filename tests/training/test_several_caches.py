"""Training on the rows of several caches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from vpar_cache.cache.features import open_features
from vpar_cache.cache.joined import open_joined
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.errors import CacheError, DataError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.metrics.constants import best_constant
from vpar_cache.metrics.scoring import score_all
from vpar_cache.metrics.vtf import VTF
from vpar_cache.pictures.figure import FigureConfig, draw_figure
from vpar_cache.reporting.report import report
from vpar_cache.reporting.score import score
from vpar_cache.runs.finished import read_runs
from vpar_cache.runs.predictions import read_test_predictions
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.splits import choose_rows
from vpar_cache.training.train import TrainResult, planned_folder, train
from vpar_cache.workflows.evaluate import evaluate_on_each, evaluate_run
from vpar_cache.workflows.repeat import repeat_run


@pytest.fixture(scope="module")
def other_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people whose ids, and those of their tracklets, name others in the first cache."""
    size = DemoSize(train_people=7, test_people=4, tracklets_per_person=2, frames=4)
    return write_demo(tmp_path_factory.mktemp("other") / "tracklets", size, 5)


@pytest.fixture(scope="module")
def caches(tiny_cache: Path, other_root: Path, extract_config: Callable[..., ExtractConfig]) -> list[Path]:
    return [tiny_cache, extract(extract_config(other_root.parent / "other.h5", root=other_root)).index]


def settings(caches: list[Path], runs: Path, **changes: Any) -> TrainConfig:
    small = {"model": "linear", "epochs": 2, "batch_size": 5, "device": "cpu", "val_fraction": 0.3}
    return TrainConfig(**{"features": caches, "runs": runs, **small, **changes})


@pytest.fixture(scope="module")
def run(caches: list[Path], tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(settings(caches, tmp_path_factory.mktemp("runs")))


def test_the_test_split_of_each_cache_is_scored_apart(caches: list[Path], run: TrainResult) -> None:
    """Against scores computed from the predictions alone."""
    rows = pq.read_table(run.folder / "predictions.parquet").to_pylist()
    joined = open_joined(caches)
    train_rows = joined.rows_of("train")
    groups = joined.schema.named_slices()
    constant = best_constant(VTF, joined.labels[train_rows], groups)  # (A,) of the train rows of both
    tests = read_runs(run.folder)
    assert [test.dataset for test in tests] == ["mars 1", "mars 2"]
    for test, cache in zip(tests, caches, strict=True):
        features = open_features(cache)
        own = [row for row in rows if row["split"] == "test" and row["dataset"] == test.dataset]
        numbers = features.rows_of("test")
        assert [row["tracklet_id"] for row in own] == [features.tracklet_ids[number] for number in numbers]
        assert [row["person_id"] for row in own] == features.person_ids[numbers].tolist()
        probabilities = np.array([row["probabilities"] for row in own], np.float32)
        expected = score_all(probabilities, features.labels[numbers], groups)
        for name, scores in expected.items():
            assert test.scores[name].average == pytest.approx(scores.average)
        answers = np.tile(constant.astype(float), (len(numbers), 1))
        best = VTF.score(answers, features.labels[numbers], groups).average["f1"]
        assert test.best_constant["vtf"].average["f1"] == pytest.approx(best)
        assert test.num_people == len(set(features.person_ids[numbers]))


def test_the_report_has_a_section_for_each_dataset_and_the_card_too(run: TrainResult) -> None:
    found = report([run.folder], details=True)
    assert len(found.sections) == 2
    assert [section.place.split(" (")[0] for section in found.sections] == ["mars 1", "mars 2"]
    assert len({name for _, name in found.runs}) == 2
    assert not found.notes
    for test in read_runs(run.folder):
        assert len(read_test_predictions(test).tracklet_ids) == test.num_tracklets
    card = (run.folder / "card.md").read_text("utf-8")
    assert "### mars 1" in card
    assert "### mars 2" in card


def test_a_second_run_on_the_same_caches_is_compared_on_each(caches: list[Path], run: TrainResult) -> None:
    other = train(settings(caches, run.folder.parent, seed=1, name="other"))
    found = report([run.folder, other.folder], compare=True)
    assert len(found.sections) == 2
    assert len(found.details) == 2


def test_the_name_is_planned_and_a_second_call_is_refused(caches: list[Path], run: TrainResult) -> None:
    config = settings(caches, run.folder.parent)
    assert planned_folder(config) == run.folder
    assert run.folder.name.startswith("mars-linear-0-")
    with pytest.raises(CacheError, match="finished already"):
        train(config)


@pytest.mark.parametrize("same_people", [False, True])
def test_nobody_who_chooses_trains(caches: list[Path], tmp_path: Path, same_people: bool) -> None:
    joined = open_joined(caches, same_people)
    rows = choose_rows(joined, settings(caches, tmp_path, same_people=same_people))
    keys = [
        (0 if same_people else int(row >= len(open_features(caches[0]))), int(joined.own_person_ids[row]))
        for row in range(len(joined))
    ]
    chosen, trained = ({keys[row] for row in part} for part in (rows.validation, rows.train))
    assert chosen
    assert not chosen & trained
    assert len(chosen | trained) == (7 if same_people else 13)


def test_a_repetition_is_identical_and_other_caches_are_refused(caches: list[Path], run: TrainResult) -> None:
    again = repeat_run(run.folder, runs=run.folder.parent)
    assert again.differences == ()
    with pytest.raises(CacheError, match="--features"):
        repeat_run(run.folder, features=caches[::-1], runs=run.folder.parent, name="reversed")


def test_a_run_of_several_caches_is_scored_on_another(caches: list[Path], run: TrainResult) -> None:
    """On one of its own, where the numbers must be those of the run."""
    for cache, test in zip(caches, read_runs(run.folder), strict=True):
        found = evaluate_run(run.folder, cache).evaluation
        assert found.scores["vtf"].average == pytest.approx(test.scores["vtf"].average)


def test_without_a_cache_it_is_scored_on_each_of_its_own(caches: list[Path], run: TrainResult) -> None:
    found = evaluate_on_each(run.folder)
    tests = read_runs(run.folder)
    assert [tables.about["dataset"] for tables in found.each] == [test.dataset for test in tests]
    for tables, test in zip(found.each, tests, strict=True):
        assert tables.evaluation.scores["vtf"].average == pytest.approx(test.scores["vtf"].average)
    assert len(found.parts) == 2


def test_its_predictions_are_not_scored_as_one_test_set(caches: list[Path], run: TrainResult) -> None:
    with pytest.raises(DataError, match=r"dataset.*'mars 1', 'mars 2'"):
        score(run.folder / "predictions.parquet", open_joined(caches).schema)


def test_the_report_says_on_how_many_caches_it_was_trained(run: TrainResult) -> None:
    for section in report([run.folder]).sections:
        assert any("trained on 2 caches (mars)" in line for line in section.remarks)


def test_people_of_train_and_test_are_counted_where_ids_mean_the_same(caches: list[Path], tmp_path: Path) -> None:
    said: list[str] = []
    train(settings(caches, tmp_path, epochs=1, same_people=True), say=said.append)
    joined = open_joined(caches, same_people=True)
    people = [set(joined.person_ids[joined.rows_of(split)]) for split in ("train", "test")]
    shared = len(people[0] & people[1])
    assert shared
    assert any(line.startswith(f"{shared} p") and "in train and in test" in line for line in said)


def test_one_cache_cannot_hold_the_same_people_as_another(caches: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--same-people.*one cache"):
        settings(caches[:1], tmp_path, same_people=True)


def test_a_figure_is_of_the_test_set_that_lies_in_the_folder(
    caches: list[Path], demo_root: Path, other_root: Path, run: TrainResult, tmp_path: Path
) -> None:
    def draw(root: Path, out: Path) -> bytes:
        return draw_figure(FigureConfig(run=run.folder, dataset="mars", root=root, out=out)).read_bytes()

    assert draw(demo_root, tmp_path / "1.png") != draw(other_root, tmp_path / "2.png")
    third = write_demo(tmp_path / "third", DemoSize(7, 4, 2, 4), 6)
    with pytest.raises(UserError, match=r"--root.*mars 1, mars 2"):
        draw(third, tmp_path / "3.png")


def test_folds_must_name_one_person_or_tracklet(caches: list[Path], tmp_path: Path) -> None:
    features = open_features(caches[1])
    train_rows = features.rows_of("train")
    people = sorted(set(features.person_ids[train_rows].tolist()))
    by_person, by_tracklet = tmp_path / "people.csv", tmp_path / "tracklets.csv"
    by_person.write_text("person_id,fold\n" + "".join(f"{p},{i % 2}\n" for i, p in enumerate(people)))
    names = [features.tracklet_ids[row] for row in train_rows]
    by_tracklet.write_text("tracklet_id,fold\n" + "".join(f"{name},0\n" for name in names))
    for path, same, told in (
        (by_person, False, "--folds.*person_id.*--same-people"),
        (by_tracklet, True, "--folds.*several"),
    ):
        with pytest.raises(DataError, match=told):
            choose_rows(
                open_joined(caches, same), settings(caches, tmp_path, folds=path, fold=0, same_people=same)
            )
    rows = choose_rows(
        open_joined(caches, True), settings(caches, tmp_path, folds=by_person, fold=0, same_people=True)
    )
    assert len(rows.validation)


def test_run_json_names_all_caches(caches: list[Path], run: TrainResult) -> None:
    record = json.loads((run.folder / "run.json").read_text("utf-8"))
    assert record["features"] == [path.as_posix() for path in caches]
    assert record["settings"]["same_people"] is False
