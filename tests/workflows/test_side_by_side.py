"""`vpar benchmark` and `vpar tune` on a Ray cluster that they start on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.test_benchmark import config as benchmark_config
from tests.workflows.test_tune import config as tune_config
from tests.workflows.test_tune import tried
from vpar_cache.workflows.benchmark import run_benchmark
from vpar_cache.workflows.tune import tune

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_a_benchmark_on_ray_equals_a_sequential_one(tmp_path: Path, demo_root: Path) -> None:
    folders = {}
    for executor in ("local", "ray"):
        (tmp_path / executor).mkdir()
        settings = benchmark_config(
            tmp_path / executor,
            demo_root,
            "timm:test_vit",  # small, and known to the workers too
            models=("linear", "vtf"),
            seeds=2,
            executor=executor,
            workers_per_node=2 if executor == "ray" else None,
        )
        folders[executor] = run_benchmark(settings).runs
    caches = [tmp_path / executor / "mars-clip.h5" for executor in folders]
    assert caches[0].read_bytes() == caches[1].read_bytes(), "the index lists the digest of every shard"
    for one, other in zip(folders["local"], folders["ray"], strict=True):
        assert one.name == other.name
        for file in ("metrics.json", "predictions.parquet", "model.safetensors"):
            assert (one / file).read_bytes() == (other / file).read_bytes()


def test_a_search_on_ray_trains_each_setting_as_one_process_does(tiny_cache: Path, tmp_path: Path) -> None:
    search = "[batch_size]\nchoices = [2, 4]\n"
    local = tune(tune_config(tiny_cache, tmp_path, search, trials=4))
    ray = tune(tune_config(tiny_cache, tmp_path, search, trials=4, executor="ray", out=tmp_path / "ray"))
    assert len(ray.trials) == 4
    curves = {settings["batch_size"]: f1 for settings, f1 in tried(local)}
    for settings, f1 in tried(ray):
        assert f1 == curves[settings["batch_size"]]
