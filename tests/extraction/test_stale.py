"""Stale features are never served: what changes features changes the fingerprint, and nothing else does.

One table of all settings, and one of what the fingerprint covers besides them. A field that is in neither fails.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from tests.support.tiny_clip import TINY_CLIP
from vpar_cache.backbones import open_clip_vit
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.datasets import frames
from vpar_cache.datasets.mars import load_mars
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import CacheError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.executors.local import ShardRun
from vpar_cache.extraction.extract import extract
from vpar_cache.extraction.lazy_encoder import encoder_for

Make = Callable[..., ExtractConfig]

OTHER_BACKBONE = "vpar-test-other"
OTHER_PARTS = {"architecture", "activation", "backbone", "image_size", "grid", "weights_digest"}

SETTINGS: dict[str, tuple[Any, set[str]]] = {
    "dataset": ("demo", set()),
    "root": (Path("copied"), set()),
    "out": (Path("moved.h5"), set()),
    "labels": (Path("other.csv"), set()),
    "schema": ("duke", set()),
    "devices": (("cpu", "cpu", "cpu"), set()),
    "backbone": (OTHER_BACKBONE, OTHER_PARTS),
    "weights": ("random:1", {"weights_digest"}),
    "frames": (3, {"frames"}),
    "sampling": ("random", {"sampling", "seed"}),
    "seed": (8, set()),  # nothing is drawn with the other settings as they are; see below
    "views": (1, {"views", "seed"}),
    "keep_frames": (True, {"keep_frames"}),
    "resize": ("stretch", {"resize"}),
    "normalize": ("half", {"normalize", "mean", "std"}),
    "prompts": ("words", set()),
    "text": ("minilm", set()),
    "precision": ("bf16", {"precision"}),
    "batch_size": (3, set()),
    "workers": (1, set()),
    "shard_size": (7, set()),
    "limit": (9, set()),
    "max_bad": (3, set()),
    "recheck": (True, set()),
    "offline": (True, set()),
}
"""Another value of each setting than the test's own, and the fields of the fingerprint that it must change."""

RESHAPE = {"shard_size", "limit"}
"""They change no feature, but which tracklets share a shard: all shards are made anew."""

CHANGES_FEATURES = [name for name, (_, fields) in SETTINGS.items() if fields]
CHANGES_NONE = [name for name, (_, fields) in SETTINGS.items() if not fields]


@pytest.fixture(scope="module", autouse=True)
def other_backbone(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As the tiny one, but of another activation, and of larger images."""
    vision = {**TINY_CLIP["vision_cfg"], "image_size": 48}  # type: ignore[dict-item]
    path = tmp_path_factory.mktemp("architectures") / f"{OTHER_BACKBONE}.json"
    path.write_text(json.dumps({**TINY_CLIP, "quick_gelu": False, "vision_cfg": vision}), "utf-8")
    open_clip.add_model_config(path)


@pytest.fixture(scope="module")
def dataset(demo_root: Path) -> Dataset:
    return load_mars(demo_root)


@pytest.fixture
def base(extract_config: Make, tmp_path: Path) -> ExtractConfig:
    return extract_config(tmp_path / "tiny.h5")


def run_of(config: ExtractConfig, dataset: Dataset) -> ShardRun:
    return ShardRun(config, dataset, encoder_for(config, None), lambda message: None)


def changed(base: ExtractConfig, name: str) -> ExtractConfig:
    along = {"dataset": "folder"} if name == "labels" else {}  # which alone takes labels
    return dataclasses.replace(base, **{name: SETTINGS[name][0], **along})


def differing(one: ShardRun, other: ShardRun) -> set[str]:
    a, b = one.visual_config, other.visual_config
    return {name for name in {*a, *b} if a.get(name) != b.get(name)}


def bytes_of_shards(index: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in fmt.shard_folder(index).glob("shard-*.h5")}


# --- settings ---


def test_every_setting_stands_in_the_table_with_another_value(base: ExtractConfig) -> None:
    assert {field.name for field in dataclasses.fields(ExtractConfig)} == set(SETTINGS)
    assert [name for name, (value, _) in SETTINGS.items() if getattr(base, name) == value] == []


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_changes_what_the_table_says_and_the_fingerprint_with_it(
    name: str, base: ExtractConfig, dataset: Dataset
) -> None:
    before, after = run_of(base, dataset), run_of(changed(base, name), dataset)
    assert differing(before, after) == SETTINGS[name][1]
    assert (before.visual_fingerprint != after.visual_fingerprint) == bool(SETTINGS[name][1])


@pytest.mark.parametrize("drawn", [{"sampling": "random"}, {"views": 1}])
def test_the_seed_counts_where_something_is_drawn(
    drawn: dict[str, Any], base: ExtractConfig, dataset: Dataset
) -> None:
    runs = [run_of(dataclasses.replace(base, seed=seed, **drawn), dataset) for seed in (0, 8)]
    assert differing(*runs) == {"seed"}
    assert runs[0].visual_fingerprint != runs[1].visual_fingerprint


@pytest.fixture
def extracted(tiny_cache: Path, tmp_path: Path) -> Path:
    """A copy of the extracted cache, without its memory of sources."""
    shutil.copytree(tiny_cache.parent, tmp_path / "cache", ignore=shutil.ignore_patterns(".seen"))
    return tmp_path / "cache" / tiny_cache.name


@pytest.fixture
def no_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> None:
        pytest.fail("a frame was encoded")

    monkeypatch.setattr(Encoder, "encode_frames", never)


@pytest.mark.usefixtures("no_encoding")
@pytest.mark.parametrize("name", CHANGES_FEATURES)
def test_a_cache_of_another_such_setting_is_refused_and_the_fields_are_shown(
    name: str, extracted: Path, extract_config: Make
) -> None:
    before, index, config = (
        bytes_of_shards(extracted),
        extracted.read_bytes(),
        changed(extract_config(extracted), name),
    )
    ours = run_of(config, load_mars(config.root)).visual_config
    theirs = run_of(extract_config(extracted), load_mars(config.root)).visual_config
    shown = [
        f"{key}: {theirs[key]!r} -> {ours[key]!r}" if key != "architecture" else "architecture: {"
        for key in SETTINGS[name][1]
    ]
    for _ in ("the index says it", "a shard says it too"):
        with pytest.raises(CacheError, match="another --out") as refused:
            extract(config)
        assert [field for field in shown if field not in str(refused.value)] == []
        assert bytes_of_shards(extracted) == before
        if extracted.exists():
            assert extracted.read_bytes() == index
            extracted.unlink()
    assert not extracted.exists()


@pytest.mark.usefixtures("no_encoding")
@pytest.mark.parametrize("name", sorted({*CHANGES_NONE} - RESHAPE - {"labels"}))  # labels: of another dataset
def test_a_cache_of_another_setting_that_changes_none_is_kept(
    name: str,
    extracted: Path,
    extract_config: Make,
    demo_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, index, config = (
        bytes_of_shards(extracted),
        extracted.read_bytes(),
        changed(extract_config(extracted), name),
    )
    if name in ("root", "dataset"):
        config = dataclasses.replace(config, root=Path(shutil.copytree(demo_root, tmp_path / "copied")))
        for path in config.root.rglob("*.jpg"):
            os.utime(path)
    if name == "out":
        config = dataclasses.replace(config, out=tmp_path / "moved" / extracted.name)
        shutil.copytree(fmt.shard_folder(extracted), fmt.shard_folder(config.out))
    monkeypatch.setattr("vpar_cache.datasets.loaders.write_demo", lambda root, size, seed: root)  # of another size
    result = extract(config)
    assert (result.shards_computed, result.shards_kept) == (0, 4)
    assert bytes_of_shards(config.out) == before
    assert (config.out.read_bytes() == index) == (name not in {"dataset", "prompts", "text"})


# --- what is no setting ---


def other_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """One number of one tensor, as in weights that were replaced under their name."""
    build = open_clip_vit._build

    def changed(backbone: str) -> Any:
        model = build(backbone)
        with torch.no_grad():
            model.visual.ln_post.bias[-1] += 1e-6
        return model

    monkeypatch.setattr(open_clip_vit, "_build", changed)


COVERED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], set[str]]] = {
    "the weights' tensors": (other_tensor, {"weights_digest"}),
    "Pillow's version": (lambda patch: patch.setattr("PIL.__version__", "0"), {"decoder", "resize_kernel"}),
    "the JPEG decoder's": (
        lambda patch: patch.setattr("vpar_cache.datasets.frames.features.version", lambda name: "0"), {"decoder"}
    ),
    "the views' shift": (lambda patch: patch.setattr(frames, "MAX_SHIFT", 9), {"max_shift"}),
    "the mean": (
        lambda patch: patch.setattr(open_clip, "OPENAI_DATASET_MEAN", (0.4, 0.4, 0.4)), {"mean"}
    ),
}  # fmt: skip
RULES = {"short_tracklet", "pad_rule", "stored_dtype", "prefix_tokens", "class_token", "dim"}
"""Names of rules of the code, for the day that they change, and what an architecture implies."""


@pytest.mark.parametrize("case", COVERED.values(), ids=COVERED.keys())
def test_what_else_changes_features_changes_the_fingerprint(
    case: tuple[Callable[[pytest.MonkeyPatch], None], set[str]],
    base: ExtractConfig,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = run_of(base, dataset)
    case[0](monkeypatch)
    after = run_of(base, dataset)
    assert differing(before, after) == case[1]
    assert before.visual_fingerprint != after.visual_fingerprint


def test_nothing_but_this_is_in_the_fingerprint(base: ExtractConfig, dataset: Dataset) -> None:
    known = set().union(RULES, *(fields for _, fields in [*SETTINGS.values(), *COVERED.values()]))
    assert set(run_of(base, dataset).visual_config) <= known


def test_machine_place_and_versions_beside_it_leave_the_fingerprint(
    base: ExtractConfig, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = run_of(base, dataset).visual_fingerprint
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    monkeypatch.setattr(os, "cpu_count", lambda: 96)
    monkeypatch.setattr(torch, "__version__", "9.9")
    monkeypatch.setattr(Encoder, "environment", lambda self: {"processor": "another"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    relative = dataclasses.replace(base, root=Path(os.path.relpath(base.root)), out=Path("tiny.h5"))
    assert run_of(relative, dataset).visual_fingerprint == before


@pytest.mark.parametrize(("native", "wanted"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_fingerprinted_as_what_it_came_to(
    native: bool, wanted: str, base: ExtractConfig, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    auto, told = (run_of(dataclasses.replace(base, precision=p), dataset) for p in ("auto", wanted))
    assert auto.visual_fingerprint == told.visual_fingerprint
