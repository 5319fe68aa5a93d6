"""The kit on a small tree in the layout of MARS, with random weights: parts, resuming, failures, the file."""

from __future__ import annotations

import getpass
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.test_benchmark import config as benchmark_config
from tests.workflows.test_benchmark import stamps
from vpar_cache.errors import UserError
from vpar_cache.extraction.config import PRESETS
from vpar_cache.rendering.formats import render
from vpar_cache.runs.finished import read_run
from vpar_cache.workflows.against_paper.plan import MODELS, make_plan
from vpar_cache.workflows.against_paper.run import reproduce
from vpar_cache.workflows.benchmark import BenchmarkConfig


def config(out: Path, root: Path, backbone: str, **changes: Any) -> BenchmarkConfig:
    settings: dict[str, Any] = {
        "models": MODELS,
        "seeds": 2,
        "train": {"epochs": 1, "device": "cpu", "recipe": "strict"},
        "backbones": {"clip": backbone},
    }
    return benchmark_config(out, root, backbone, **{**settings, **changes})


@pytest.mark.slow
def test_both_recipes_are_trained_compared_and_written_and_a_second_call_only_reads(
    tmp_path: Path, demo_root: Path, tiny_backbone: str
) -> None:
    settings = config(tmp_path / "out", demo_root, tiny_backbone)
    said: list[str] = []
    result = reproduce(settings, say=said.append)
    assert result.failed == ()
    assert result.file is not None
    runs = [read_run(path) for path in (tmp_path / "out" / "benchmark-mars").iterdir()]
    assert sorted((run.model, run.recipe) for run in runs) == sorted(
        [("linear", "paper"), ("vtf", "paper"), ("vtf", "reference")] * 2
    )
    for run in runs:
        wanted = "random" if run.recipe == "reference" else "uniform"
        assert run.extraction["sampling"] == wanted
        assert Path(run.features[0]).stem == ("mars-reference" if wanted == "random" else "mars-clip")
    text = render(result, "rich")
    for part in (
        "NO REPRODUCTION",
        "random weights",
        "12 train and 6 test",
        tiny_backbone,
        "81.94",
        "Best constant",
    ):
        assert part in text
    assert [line for line in said if line.startswith(("1/8", "8/8"))] == [
        "1/8 features mars-clip",
        "8/8 vtf, recipe reference, seed 1",
    ]
    assert any(line.startswith("warning: dataset") for line in said), "the doctor's checks come first"
    before, sent = stamps(tmp_path / "out"), result.file.read_text()
    again = reproduce(settings)
    after = stamps(tmp_path / "out")
    written = {Path(name) for name in before if before[name] != after[name]}
    assert not [path for path in written if path.match("shard-*") or "benchmark-mars" in path.parts]
    assert before.keys() == after.keys()
    assert (again.parts, again.file.read_text() if again.file else "") == (result.parts, sent)


@pytest.mark.slow
def test_the_file_holds_scores_timings_and_versions_but_no_path_and_no_name(
    tmp_path: Path, demo_root: Path, tiny_backbone: str
) -> None:
    out = tmp_path / "alice" / "out"
    result = reproduce(config(out, demo_root, tiny_backbone, models=("vtf",), seeds=1))
    assert result.file is not None
    text = result.file.read_text()
    for private in (str(tmp_path), "alice", str(demo_root), socket.gethostname(), f'"{getpass.getuser()}"', "/"):
        assert private not in text.replace("vpar-test-tiny", ""), private
    sent = json.loads(text)
    assert sent["is_reproduction"] is False
    assert sent["random_weights"] is True
    assert {cache["name"] for cache in sent["caches"]} == {"mars-clip", "mars-reference"}
    assert {cache["weights"] for cache in sent["caches"]} == {"random:0"}
    for run in sent["runs"]:
        metrics = json.loads(
            next(
                path
                for path in out.rglob("metrics.json")
                if json.loads((path.parent / "run.json").read_text())["recipe"] == run["recipe"]
            ).read_text()
        )
        assert run["scores"]["vtf"]["average"]["f1"] == pytest.approx(
            metrics["scores"]["vtf"]["average"]["f1"], abs=1e-6
        )
        assert run["seconds"] > 0
        assert run["versions"].keys() >= {"torch", "python"}
    assert len(text) < 200_000


@pytest.mark.slow
def test_a_part_that_fails_is_said_the_others_are_kept_and_the_next_call_makes_it(
    tmp_path: Path, demo_root: Path, tiny_backbone: str
) -> None:
    settings = config(tmp_path, demo_root, tiny_backbone, seeds=1)
    (other,) = (e for e in make_plan(settings).extractions if e.out.stem == "mars-reference")
    from vpar_cache.extraction.extract import extract

    extract(replace(other, resize="stretch"))  # somebody's cache of other settings at that place
    said: list[str] = []
    result = reproduce(settings, say=said.append)
    assert result.failed == ("features mars-reference", "vtf, recipe reference, seed 0")
    assert any(line.startswith("failed: features mars-reference: ") for line in said)
    assert result.file is not None
    assert json.loads(result.file.read_text())["failed"] == list(result.failed)
    assert "CLIP-VTF, recipe paper" in render(result, "rich")
    before = stamps(tmp_path / "benchmark-mars")
    extract(replace(other, overwrite=True))
    resumed = reproduce(settings)
    assert resumed.failed == ()
    after = stamps(tmp_path / "benchmark-mars")
    assert {name: after[name] for name in before} == before
    assert "recipe reference" in render(resumed, "rich")


@pytest.mark.slow
def test_nothing_is_computed_where_a_check_of_the_doctor_fails(
    tmp_path: Path, demo_root: Path, tiny_backbone: str
) -> None:
    said: list[str] = []
    extract = {"weights": "absent.safetensors", "frames": 1, "devices": ("cpu",), "offline": True}
    with pytest.raises(UserError, match=r"--against-paper.*\(weights\)"):
        reproduce(config(tmp_path, demo_root, tiny_backbone, extract=extract), say=said.append)
    assert any(line.startswith("fails: weights: ") and "absent.safetensors" in line for line in said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"dataset": "demo"}, "'demo'.*mars, duke"),
        ({"models": ("prior",)}, "'prior'"),
        ({"executor": "ray"}, "--executor ray"),
        ({"train": {"epochs": 10**9}}, "--epochs"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_compared_is_refused(changes: dict[str, Any], word: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=word):
        reproduce(config(tmp_path, tmp_path, "x", **changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_without_other_options_both_caches_are_those_of_the_commands_in_the_docs(tmp_path: Path) -> None:
    settings = config(tmp_path, tmp_path, "x", extract={"frames": 6})
    plain, reference = make_plan(settings).extractions
    assert {name: getattr(reference, name) for name in PRESETS["reference"]} == PRESETS["reference"]
    assert (plain.sampling, plain.normalize, plain.prompts) == ("uniform", "own", "paper")
    assert {training.epochs for training in make_plan(settings).trainings} == {1}
