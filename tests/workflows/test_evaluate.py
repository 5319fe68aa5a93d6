"""A trained run on another cache: what is scored, against what, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.hostile_files import call_vpar
from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.schema import Schema, binary, choice
from vpar_cache.cache.features import open_features
from vpar_cache.datasets.mars import load_mars
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import CacheError, DataError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.metrics.evaluation import baselines
from vpar_cache.metrics.scoring import PROTOCOLS, score_all
from vpar_cache.reporting.evaluation_tables import EvaluationTables
from vpar_cache.runs.finished import read_run
from vpar_cache.runs.load import load_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train
from vpar_cache.workflows.evaluate import common_outputs, evaluate_run

Make = Callable[..., ExtractConfig]

OTHER = Schema(
    "other",
    (
        binary("hat", "hat", "a hat", "no hat"),
        binary("top length", "top length long", "a long top", "a short top"),
        choice("pose", "pose {}", "back, sideways, frontal"),
        choice("motion", "motion {}", "walking, flying"),
        binary("umbrella", "umbrella", "an umbrella", "no umbrella"),
    ),
    MARS.quality,
)
"""Shares hat and two of the poses with MARS."""


@pytest.fixture(scope="module")
def run(tiny_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    settings: dict[str, Any] = {"dim": 32, "heads": 2, "epochs": 2, "batch_size": 4, "device": "cpu"}
    root = tmp_path_factory.mktemp("runs")
    return train(TrainConfig(features=tiny_cache, runs=root, name="first", val_fraction=0.34, **settings)).folder


def other_dataset(demo_root: Path, train_labels: bool = True) -> Dataset:
    """The demo's tracklets under the other schema; every third looks sideways.

    The hat of the first is unknown; without train labels those of hat and pose of the train split, too.
    """
    dataset = load_mars(demo_root)
    columns = dict(MARS.named_slices())
    tracklets = []
    for number, one in enumerate(dataset.tracklets):
        pose = 1 if number % 3 == 0 else 0 if number % 3 == 1 else 2
        values: dict[str, int | None] = {"top length": 1, "pose": pose, "motion": 0, "umbrella": 0}
        values["hat"] = int(one.labels[columns["hat"].start]) if number else None
        if one.split == "train" and not train_labels:
            values |= {"hat": None, "pose": None}
        tracklets.append(replace(one, labels=OTHER.encode(values), known=OTHER.known(values)))
    return replace(dataset, name="other", schema=OTHER, tracklets=tuple(tracklets))


@pytest.fixture(scope="module")
def other(demo_root: Path, extract_config: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    config = extract_config(tmp_path_factory.mktemp("other") / "other.h5", dataset=None, root=None)
    return extract(config, dataset=other_dataset(demo_root)).index


def said(result: EvaluationTables) -> str:
    return " ".join(result.remarks)


def test_on_its_own_cache_a_run_has_its_own_metrics(run: Path, tiny_cache: Path) -> None:
    result = evaluate_run(run, tiny_cache)
    record = read_run(run)
    for protocol, scores in record.scores.items():
        found = result.evaluation.scores[protocol]
        assert found.threshold == scores.threshold
        assert found.average == pytest.approx(scores.average, abs=1e-6)
    assert result.evaluation.num_people == record.num_people
    assert result.evaluation.intervals.over == record.intervals.over
    assert "not scored" not in said(result)
    assert "6 test tracklets, 43 of 43 outputs" in result.title


def test_the_baselines_are_those_of_all_train_labels_of_the_cache(run: Path, tiny_cache: Path) -> None:
    cache = open_features(tiny_cache)
    rows = cache.rows_of("train")
    expected = baselines(cache.labels[rows], MARS.named_slices(), known=cache.known[rows])
    found = evaluate_run(run, tiny_cache).evaluation
    assert found.prior_rates == tuple(expected.rates)
    assert found.constants == {name: tuple(held.tolist()) for name, held in expected.constants.items()}


@pytest.mark.parametrize(("split", "count"), [("train", 12), ("test", 6), ("all", 18)])
def test_a_split_is_scored_alone(run: Path, tiny_cache: Path, split: str, count: int) -> None:
    assert evaluate_run(run, tiny_cache, split=split).evaluation.num_tracklets == count


def test_on_another_schema_only_shared_outputs_are_scored_over_known_labels(run: Path, other: Path) -> None:
    result = evaluate_run(run, other, split="all")
    found = result.evaluation
    cache, loaded = open_features(other), load_run(run)
    p = loaded.predict(cache.arrays[loaded.reads].gather(np.arange(18)))  # (18, 43)
    names = [output.name for output in MARS.outputs]
    columns = [names.index(name) for name in ("hat", "pose frontal", "pose back")]
    labels = cache.labels[:, [0, 4, 2]]  # hat, frontal, back
    known = np.ones((18, 3), bool)
    known[0, 0] = False
    known[:, 1:] &= labels[:, 1:].any(axis=1, keepdims=True)  # sideways is no class that both have
    groups = [("hat", slice(0, 1)), ("pose", slice(1, 3))]
    assert found.scores.keys() == read_run(run).scores.keys()
    for name, scores in score_all(p[:, columns], labels, groups, known=known).items():
        assert found.scores[name].average == pytest.approx(scores.average, abs=1e-6)
        assert list(found.scores[name].groups) == ([] if name == "instance" else ["hat", "pose"])
    assert found.unknown == {"hat": 1, "pose": 6}
    assert found.best_constant.keys() == found.scores.keys()
    of_other = ("top length long", "motion walking", "umbrella", "pose sideways")
    of_mars = ("top length short", "motion walking", "pose lateral")
    assert all(f"{name} (other)" in said(result) for name in of_other)
    assert all(f"{name} (mars)" in said(result) for name in of_mars)
    assert "3 of 43 outputs" in result.title
    assert "best constant is that of the run" not in said(result)


def test_mars_and_duke_share_what_means_the_same() -> None:
    common = common_outputs(MARS, DUKE)
    ours, theirs = ([schema.outputs[i] for i in columns] for schema, columns in
                    ((MARS, common.of_run), (DUKE, common.of_cache)))  # fmt: skip
    assert [output.name for output in ours] == [output.name for output in theirs]
    names = {name for name, _ in common.groups}
    assert "top length" not in names, "MARS says short, DUKE long"
    assert {"hat", "backpack", "gender", "pose", "motion", "top color", "bottom color"} <= names
    assert [columns.stop for _, columns in common.groups][-1] == len(common.of_run)


def test_a_label_of_the_opposite_meaning_is_not_the_same_whatever_its_name() -> None:
    ours = Schema("ours", (binary("hat", "hat", "a hat", "no hat"), binary("bag", "bag", "a bag", "no bag")))
    theirs = Schema(
        "theirs", (binary("hat", "hat", "no hat", "a hat"), binary("bag", "carries", "a bag", "no bag"))
    )
    common = common_outputs(ours, theirs)
    assert (common.groups, common.of_run.tolist(), common.of_cache.tolist()) == ([("bag", slice(0, 1))], [1], [1])
    assert common.left_out == ("hat (ours)", "hat (theirs)")


def test_a_cache_without_train_labels_is_read_against_the_constants_of_the_run(
    run: Path, demo_root: Path, extract_config: Make, tmp_path: Path
) -> None:
    dataset = other_dataset(demo_root, train_labels=False)
    cache = extract(extract_config(tmp_path / "tests.h5", dataset=None, root=None), dataset=dataset).index
    result = evaluate_run(run, cache)
    record = read_run(run)
    names = [output.name for output in MARS.outputs]
    columns = [names.index(name) for name in ("hat", "pose frontal", "pose back")]
    for name in PROTOCOLS:
        assert result.evaluation.constants[name] == tuple(record.constants[name][column] for column in columns)
    assert result.evaluation.prior_rates == tuple(record.prior_rates[column] for column in columns)
    assert "the best constant is that of the run" in said(result)


def test_features_of_other_settings_are_scored_and_said(run: Path, extract_config: Make, tmp_path: Path) -> None:
    cache = extract(extract_config(tmp_path / "one.h5", frames=1)).index
    assert "features of other settings" in said(evaluate_run(run, cache))


def test_features_of_other_weights_or_of_another_backbone_are_refused(
    run: Path, tiny_cache: Path, extract_config: Make, tmp_path: Path
) -> None:
    cache = extract(extract_config(tmp_path / "weights.h5", weights="random:1")).index
    with pytest.raises(CacheError, match=r"--features: got .* with weights random:1; expected random:0") as caught:
        evaluate_run(run, cache)
    assert "\n" not in str(caught.value)
    record = json.loads((run / "run.json").read_text("utf-8"))
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in run.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "run.json").write_text(json.dumps({**record, "backbone": "open_clip:other"}), "utf-8")
    with pytest.raises(CacheError, match=r"--features: got .* with backbone .*; expected open_clip:other"):
        evaluate_run(copy, tiny_cache)


def test_nothing_shared_an_empty_split_and_an_unknown_one_are_one_line(
    run: Path, tiny_cache: Path, demo_root: Path, extract_config: Make, tmp_path: Path
) -> None:
    alien = Schema("alien", (binary("umbrella", "umbrella", "an umbrella", "no umbrella"),), MARS.quality)
    tracklets = tuple(
        replace(one, labels=np.zeros(1, np.uint8), known=None) for one in load_mars(demo_root).tracklets
    )
    dataset = replace(load_mars(demo_root), schema=alien, tracklets=tracklets)
    cache = extract(extract_config(tmp_path / "alien.h5", dataset=None, root=None), dataset=dataset).index
    with pytest.raises(DataError, match="schema alien of the cache shares no output with schema mars"):
        evaluate_run(run, cache)
    for arguments, words in (
        (["--features", str(cache)], "shares no output"),
        (["--features", str(tiny_cache), "--split", "validation"], "--split: got validation"),
        (["--features", str(tiny_cache), "--split", "tset"], "--split 'tset'"),
        (["--features", "absent.h5"], "absent.h5"),
    ):
        done = call_vpar("evaluate", "--run", str(run), *arguments, folder=tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert words in done.stderr


def test_the_command_prints_a_table_for_each_protocol_with_its_baselines(run: Path, tiny_cache: Path) -> None:
    done = call_vpar(
        "evaluate", "--run", "first", "--runs", ".", "--features", str(tiny_cache), "--format", "json",
        folder=run.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    averages = [n for n in printed["numbers"] if (n["group"], n["metric"]) == ("average", "f1")]
    assert {number["protocol"] for number in averages} >= set(PROTOCOLS)
    assert all(number["best_constant"] is not None and number["p"] is not None for number in averages)
    assert {number["weights"] for number in printed["numbers"]} == {"random:0"}
    assert any(note.startswith("random weights") for note in printed["notes"])
