"""Finished runs: found by folder or name, and what tables say of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.support.fake_runs import make_mars_run, make_run, write
from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.errors import CacheError
from vpar_cache.runs.finished import PAPER_TEST_TRACKLETS, find_runs, read_run


def test_a_run_says_whose_numbers_it_holds_and_where_they_were_measured(tmp_path):
    run = read_run(make_run(tmp_path, "demo-a", selected=0.37))
    assert (run.name, run.dataset, run.weights, run.random_weights) == ("demo-a", "demo", "openai", False)
    assert run.place == "demo (24 test tracklets of 6 people)"
    run = read_run(make_run(tmp_path, "demo-b", people=None))
    assert run.place == "demo (24 test tracklets)"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"n": 198}, True),
        ({"n": 197}, False),
        ({"dataset": "MARS"}, False),
        ({"dataset": "duke"}, False),
        ({"schema": DUKE}, False),
        ({"schema": DUKE, "dataset": "duke"}, True),
        ({"schema": replace(MARS, groups=MARS.groups[:-1])}, False),
        ({"schema": replace(MARS, name="mine", quality=())}, True),
    ],
)
def test_the_papers_split_is_that_of_its_dataset_with_all_outputs_and_nearly_all_tracklets(
    tmp_path, small_paper_split, fields, expected
):
    assert read_run(make_mars_run(tmp_path, "a", **fields)).is_on_paper_split == expected


def test_the_papers_splits_have_their_published_sizes():
    assert PAPER_TEST_TRACKLETS == {"mars": 8062, "duke": 2636}


def test_a_split_of_another_name_is_not_the_papers(tmp_path, small_paper_split):
    folder = make_mars_run(tmp_path, "a")
    write(folder / "metrics.json", json.loads((folder / "metrics.json").read_text()) | {"split": "train"})
    assert not read_run(folder).is_on_paper_split


def test_either_sign_of_random_weights_is_enough(tmp_path):
    run = read_run(make_run(tmp_path, "a", weights="random:0", random_weights=False))
    assert (run.weights, run.random_weights) == ("random:0", True)
    run = read_run(make_run(tmp_path, "b", weights="mine.pt", random_weights=True))
    assert (run.weights, run.random_weights) == ("random (mine.pt)", True)


def test_the_cost_is_told_only_where_it_was_measured(tmp_path):
    measured = {"epoch_seconds_per_tracklet": 0.01, "encode_seconds_per_tracklet": 1.49, "num_train": 8000}
    assert read_run(make_run(tmp_path, "a", **measured)).cost == (
        "an epoch of 8000 tracklets cost 80 s on cached features; with the encoder in every epoch it would have "
        "cost 3.33 h, 150 times as much"
    )
    for i, missing in enumerate(({"encode_seconds_per_tracklet": None}, {"epoch_seconds_per_tracklet": 0.0})):
        assert read_run(make_run(tmp_path, f"b{i}", **measured | missing)).cost is None


def test_runs_that_differ_by_their_seed_alone_agree_in_all_but_seed(tmp_path):
    settings = ({"lr": 0.1, "seed": 0}, {"lr": 0.1, "seed": 1}, {"lr": 0.2, "seed": 0})
    recipes = [read_run(make_run(tmp_path, f"{i}", settings=one)).all_but_seed for i, one in enumerate(settings)]
    assert recipes[0] == recipes[1] != recipes[2]


def test_a_run_is_found_by_folder_or_by_name_and_counts_once(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "runs", "demo-a")
    monkeypatch.chdir(tmp_path)
    twice = [folder, folder.relative_to(tmp_path), tmp_path / "runs" / ".." / "runs" / "demo-a"]
    assert find_runs(twice, tmp_path) == [folder]
    assert find_runs([folder.relative_to(tmp_path / "runs")], tmp_path / "runs") == [folder]


def test_a_folder_that_is_no_run_does_not_hide_a_run_of_that_name(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "cache" / "runs", "fusion")
    (tmp_path / "fusion").mkdir()
    monkeypatch.chdir(tmp_path)
    runs = (tmp_path / "cache" / "runs").relative_to(tmp_path)
    assert find_runs([(tmp_path / "fusion").relative_to(tmp_path)], runs) == [folder.relative_to(tmp_path)]
    make_run(tmp_path, "other")
    make_run(tmp_path / "cache" / "runs", "other")
    assert find_runs([(tmp_path / "other").relative_to(tmp_path)], runs) == [
        (tmp_path / "other").relative_to(tmp_path)
    ]


def test_runs_of_other_train_labels_are_not_seeds_of_one_another(tmp_path):
    """Labels are in the seal of the cache, not in the fingerprint of its features."""
    about = {"visual_fingerprint": "v", "text_fingerprint": "t"}
    runs = [read_run(make_run(tmp_path, f"{i}", features_seal=seal, **about)) for i, seal in enumerate("aab")]
    assert runs[0].all_but_seed == runs[1].all_but_seed != runs[2].all_but_seed


def test_an_unknown_run_is_refused_with_the_nearest_name(tmp_path):
    folder = make_run(tmp_path, "demo-vtf-0-a1b2c3")
    with pytest.raises(CacheError, match=r"run 'demo-vtf' is not a folder.* 'demo-vtf-0-a1b2c3'"):
        find_runs([(tmp_path / "demo-vtf").relative_to(tmp_path)], tmp_path)
    with pytest.raises(CacheError, match="holds no finished run"):
        find_runs([tmp_path / "x"], folder)
