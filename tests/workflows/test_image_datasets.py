"""Image datasets go through all stages, and their reports show first what papers on images print."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.hostile_files import call_vpar
from tests.support.image_trees import write_market, write_pa100k, write_upar
from vpar_cache.attributes.market_table import MARKET
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.cache.features import open_features
from vpar_cache.cache.info import describe_cache
from vpar_cache.datasets.names import are_single_images
from vpar_cache.errors import CacheError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.metrics.scoring import PROTOCOLS
from vpar_cache.rendering.formats import render
from vpar_cache.reporting.report import report
from vpar_cache.reporting.score import score
from vpar_cache.runs.finished import read_run
from vpar_cache.runs.load import load_run
from vpar_cache.runs.predictions import read_test_predictions
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import TrainResult, train
from vpar_cache.workflows.evaluate import common_outputs, evaluate_run

WRITERS = {
    "market": lambda root: write_market(root, people=8),
    "pa100k": lambda root: write_pa100k(root, {"train": 20, "val": 6, "test": 12}),
    "images": lambda root: write_upar(root, 20, 12),
}
ROWS = {"market": (32, 0, 40), "pa100k": (20, 6, 12), "images": (20, 0, 12)}

Trained = tuple[str, Path, Path, TrainResult, list[str]]


@pytest.fixture(params=sorted(WRITERS), scope="module")
def trained(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    extract_config: Callable[..., ExtractConfig],
) -> Trained:
    """The name of a dataset, its root, its cache, a run on it, and what was said."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    root = WRITERS[name](folder / "root")
    said: list[str] = []
    config = extract_config(folder / "cache" / f"{name}.h5", dataset=name, root=root, shard_size=None)
    index = extract(config, say=said.append).index
    settings = TrainConfig(features=index, runs=folder / "runs", model="linear", epochs=2, device="cpu")
    return name, root, index, train(settings, say=said.append), said


def test_every_image_is_a_row_of_one_frame(trained: Trained) -> None:
    name, _, index, _, said = trained
    features = open_features(index)
    splits = [int((features.splits == split).sum()) for split in ("train", "validation", "test")]
    assert tuple(splits) == ROWS[name]
    assert features.num_frames.tolist() == [1] * len(features)
    assert features.visual_config["frames"] == 1
    assert (features.schema.unit, describe_cache(index)["unit"]) == ("image", "image")
    assert any(f"{ROWS[name][0]} train images" in line for line in said)


def test_reports_start_with_instance_and_its_mean_accuracy(
    trained: Trained,
) -> None:
    _, _, index, result, _ = trained
    tables = report([result.folder])
    (section, *_) = tables.parts
    titles = [block.title for block in section.blocks if hasattr(block, "title")]
    assert "averages over images under instance" in titles[0]
    first = next(block for block in section.blocks if getattr(block, "title", "") == titles[0])
    assert first.header[:2] == ("System", "mA")
    assert next(number for number in tables.numbers if number.source == "run").protocol == "instance"
    page = render(tables.with_all_details(), "markdown")
    assert page.index("under instance") < page.index("under vtf")
    evaluation = read_run(result.folder)
    assert evaluation.protocols[0] == "instance"
    assert set(evaluation.protocols) >= set(PROTOCOLS)
    assert result.verdict.startswith(f"mA is {100 * evaluation.scores['instance'].average['mA']:.2f}")
    card = (result.folder / "card.md").read_text()
    table = [line for line in card.splitlines() if line.startswith("| ") and "(above" in line]
    assert table[0].startswith("| instance (above 0.45) | mA |")
    for tables_of in (
        evaluate_run(result.folder, index),
        score(result.folder / "predictions.parquet", load_run(result.folder).schema),
    ):
        (part,) = tables_of.parts
        assert "instance, averages over images" in part.blocks[0].title
        assert part.blocks[0].header[1] == "mA"


def test_mean_accuracy_is_that_of_the_stored_predictions(
    trained: Trained,
) -> None:
    """By hand, over outputs with a known label: (TPR + TNR) / 2, an empty side scoring 0."""
    result = trained[3]
    run = read_run(result.folder)
    found = read_test_predictions(run)
    rates = []
    for p, truth, known in zip(found.probabilities.T, found.labels.T, found.known.T, strict=True):
        if not known.any():
            continue
        said, true = p[known] > np.float32(0.45), truth[known].astype(bool)
        sides = [(said[true].mean() if true.any() else 0.0), ((~said[~true]).mean() if (~true).any() else 0.0)]
        rates.append(sum(sides) / 2)
    assert run.scores["instance"].average["mA"] == pytest.approx(np.mean(rates), abs=1e-6)


def test_intervals_and_held_out_rows_are_images_where_nobody_is_named(
    trained: Trained,
) -> None:
    name, _, _, result, said = trained
    run = read_run(result.folder)
    card = (result.folder / "card.md").read_text()
    if name == "market":
        assert (run.intervals.over, run.intervals.number) == ("people", 8)
        assert any("of 1 person choose the epoch" in line for line in said)
        return
    assert (run.intervals.over, run.intervals.number) == ("images", 12)
    assert "bootstrap over images" in card
    assert any(
        "intervals and shuffles are over images" in line for line in report([result.folder]).sections[0].remarks
    )
    chosen = "people are not known, so images were held out" if name == "images" else "6 validation images choose"
    assert any(chosen in line for line in said)


def test_a_run_predicts_single_images(trained: Trained, tmp_path: Path) -> None:
    name, root, _, result, _ = trained
    folder = {"market": "query", "pa100k": "release_data/release_data", "images": "PETA/images"}[name]
    images = sorted((root / folder).glob("*.jpg"))
    out = tmp_path / "people.jsonl"
    arguments = ("predict", "--run", result.folder, root / folder, "--out", out, "--device", "cpu")
    assert call_vpar(*map(str, arguments), folder=tmp_path).returncode == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == len(images)
    assert {row["frames_used"] for row in rows} == {1}
    assert {len(row["probabilities"]) for row in rows} == {load_run(result.folder).schema.num_outputs}


def test_caches_of_single_and_grouped_images_do_not_mix(
    tmp_path: Path, extract_config: Callable[..., ExtractConfig]
) -> None:
    root = write_market(tmp_path / "root", people=2)
    single, grouped = (
        extract_config(tmp_path / "market.h5", dataset="market", root=root, group=group)
        for group in (None, "camera")
    )
    assert "group" not in single.visual_settings()
    assert grouped.visual_settings()["group"] == "camera"
    assert (single.frames, grouped.frames) == (1, 2)
    assert are_single_images("market", None)
    extract(single, say=str)
    with pytest.raises((UserError, CacheError), match="another --out"):
        extract(grouped, say=str)
    other = replace(grouped, out=tmp_path / "grouped.h5")
    extract(other, say=str)
    features = open_features(other.out)
    assert (features.schema.unit, features.num_frames.max()) == ("tracklet", 2)
    with pytest.raises(UserError):
        train(TrainConfig(features=(single.out, other.out), runs=tmp_path / "runs", model="linear", device="cpu"))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--dataset", "mars", "--group", "camera"), ("--group", "market")),
        (("--dataset", "market", "--group", "person"), ("--group", "camera")),
        (("--dataset", "pa100k", "--labels", "x.csv"), ("--labels", "folder", "images")),
        (("--dataset", "folder", "--test-labels", "x.csv"), ("--test-labels", "images")),
        (("--dataset", "marked"), ("--dataset", "market")),
    ],
)
@pytest.mark.parametrize("command", ["extract", "check"])
def test_an_option_of_another_layout_is_refused_in_one_line(
    command: str, options: tuple[str, ...], parts: tuple[str, ...], tmp_path: Path
) -> None:
    place = ("--root", ".") if command == "extract" else (".",)
    done = call_vpar(command, *place, *options, folder=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    for part in parts:
        assert part in done.stderr


def test_check_lists_what_is_missing_and_cannot_be_decoded(tmp_path: Path) -> None:
    root = write_pa100k(tmp_path / "root", {"train": 4, "val": 2, "test": 3})
    assert call_vpar("check", str(root), "--dataset", "pa100k", folder=tmp_path).returncode == 0
    folder = root / "release_data" / "release_data"
    (folder / "000001.jpg").unlink()
    (folder / "000002.jpg").write_bytes(b"no image")
    done = call_vpar("check", str(root), "--dataset", "pa100k", folder=tmp_path)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert "000001" in lines[0]
    assert "000002.jpg" in lines[1]


def test_a_run_on_mars_can_be_scored_on_market() -> None:
    common = common_outputs(MARS, MARKET)
    assert len(common.of_cache) == MARKET.num_outputs
    mars, market = ([output.phrase for output in schema.outputs] for schema in (MARS, MARKET))
    assert [mars[i] for i in common.of_run] == [market[i] for i in common.of_cache]
