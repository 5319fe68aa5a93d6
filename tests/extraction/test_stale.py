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
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg

from tests.support.comparing import bytes_of
from tests.support.tiny_clip import TINY_CLIP
from vpar_cache.backbones import open_clip_vit
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.datasets import decoding
from vpar_cache.datasets.mars import load_mars
from vpar_cache.datasets.tracklet import Dataset
from vpar_cache.errors import CacheError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import build_encoder, identity_of
from vpar_cache.extraction.extract import extract
from vpar_cache.extraction.plan import Plan, make_plan

Make = Callable[..., ExtractConfig]

OTHER_BACKBONE = "vpar-test-other"
OTHER_PARTS = {"architecture", "activation", "backbone", "image_size", "grid", "weights_digest"}

SETTINGS: dict[str, tuple[Any, set[str]]] = {
    "dataset": ("demo", set()),
    "root": (Path("copied"), set()),
    "out": (Path("moved.h5"), set()),
    "labels": (Path("other.csv"), set()),
    "follow_links": (Path(), set()),
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
    "overwrite": (True, set()),
    "max_bad": (3, set()),
    "recheck": (True, set()),
    "executor": ("ray", set()),
    "ray_address": ("auto", set()),
    "workers_per_node": (2, set()),
    "task": ((0, 2), set()),
    "offline": (True, set()),
}
"""Another value of each setting than the test's own, and the fields of the fingerprint that it must change."""

RESHAPE = {"shard_size", "limit"}
"""They change no feature, but which tracklets share a shard: shards are written again, and none is encoded."""

NEEDS: dict[str, dict[str, Any]] = {
    "labels": {"dataset": "folder"},
    "ray_address": {"executor": "ray"},
    "workers_per_node": {"executor": "ray"},
}
"""Other settings that a setting cannot be without."""

EXECUTOR = {"executor", "ray_address", "workers_per_node", "task"}
"""Where shards are computed: see test_executors.py."""

OF_IMAGES = {"test_labels", "group"}
"""What only image datasets read: see tests/workflows/test_image_datasets.py."""

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


def plan_of(config: ExtractConfig, dataset: Dataset) -> Plan:
    return make_plan(dataset.tracklets, config, identity_of(build_encoder(config)))


def changed(base: ExtractConfig, name: str) -> ExtractConfig:
    along = NEEDS.get(name, {})
    return dataclasses.replace(base, **{name: SETTINGS[name][0], **along})


def differing(one: Plan, other: Plan) -> set[str]:
    a, b = one.visual_config, other.visual_config
    return {name for name in {*a, *b} if a.get(name) != b.get(name)}


# --- settings ---


def test_every_setting_stands_in_the_table_with_another_value(base: ExtractConfig) -> None:
    assert {field.name for field in dataclasses.fields(ExtractConfig)} == {*SETTINGS, *OF_IMAGES}
    assert [name for name, (value, _) in SETTINGS.items() if getattr(base, name) == value] == []


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_changes_what_the_table_says_and_the_fingerprint_with_it(
    name: str, base: ExtractConfig, dataset: Dataset
) -> None:
    before, after = plan_of(base, dataset), plan_of(changed(base, name), dataset)
    assert differing(before, after) == SETTINGS[name][1]
    assert (before.visual_fingerprint != after.visual_fingerprint) == bool(SETTINGS[name][1])


@pytest.mark.parametrize("drawn", [{"sampling": "random"}, {"views": 1}])
def test_the_seed_counts_where_something_is_drawn(
    drawn: dict[str, Any], base: ExtractConfig, dataset: Dataset
) -> None:
    runs = [plan_of(dataclasses.replace(base, seed=seed, **drawn), dataset) for seed in (0, 8)]
    assert differing(*runs) == {"seed"}
    assert runs[0].visual_fingerprint != runs[1].visual_fingerprint


@pytest.mark.usefixtures("no_encoding")
@pytest.mark.parametrize("name", CHANGES_FEATURES)
def test_a_cache_of_another_such_setting_is_refused_and_the_fields_are_shown(
    name: str, extracted: Path, extract_config: Make
) -> None:
    before = bytes_of(extracted)
    with pytest.raises(CacheError, match="another --out") as refused:
        extract(changed(extract_config(extracted), name))
    assert any(f"{field}: " in str(refused.value) for field in {*SETTINGS[name][1], name})
    assert bytes_of(extracted) == before


@pytest.mark.usefixtures("no_encoding")
@pytest.mark.parametrize("name", ["root", "out", "prompts", "text", "the rest"])
def test_a_cache_of_other_settings_that_change_no_feature_is_kept(
    name: str, extracted: Path, extract_config: Make, demo_root: Path, tmp_path: Path
) -> None:
    before, config = bytes_of(extracted), extract_config(extracted)
    if name == "root":
        config = dataclasses.replace(config, root=Path(shutil.copytree(demo_root, tmp_path / "copied")))
    elif name == "out":
        config = dataclasses.replace(config, out=tmp_path / "moved" / extracted.name)
        shutil.copytree(fmt.shard_folder(extracted), fmt.shard_folder(config.out))
    elif name != "the rest":
        config = changed(config, name)
    else:
        rest = {*CHANGES_NONE} - RESHAPE - {"root", "out", "prompts", "text", "dataset", "labels"} - EXECUTOR
        config = dataclasses.replace(config, **{each: SETTINGS[each][0] for each in rest})
    result = extract(config)
    assert (result.encoded, result.shards_kept) == (0, 4)
    after = bytes_of(config.out)
    assert [file for file in after if after[file] != before[file]] == (
        [extracted.name] if name in ("prompts", "text") else []
    )


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
    "what libraries make of pictures": (
        lambda patch: patch.setattr(decoding, "samples_digest", lambda: "0"), {"decoded_samples"}
    ),
    "the views' shift": (lambda patch: patch.setattr(decoding, "MAX_SHIFT", 9), {"max_shift"}),
    "the mean": (
        lambda patch: patch.setattr(open_clip.factory, "PreprocessCfg", partial(PreprocessCfg, mean=(0.4,) * 3)),
        {"mean"},
    ),
}  # fmt: skip
RULES = {"resize_kernel", "pad_rule", "transparency", "short_tracklet", "stored_dtype"}
RULES |= {"prefix_tokens", "class_token", "dim"}
"""Names of rules of the code, for the day that they change, and what an architecture implies."""


@pytest.mark.parametrize("case", COVERED.values(), ids=COVERED.keys())
def test_what_else_changes_features_changes_the_fingerprint(
    case: tuple[Callable[[pytest.MonkeyPatch], None], set[str]],
    base: ExtractConfig,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = plan_of(base, dataset)
    case[0](monkeypatch)
    after = plan_of(base, dataset)
    assert differing(before, after) == case[1]
    assert before.visual_fingerprint != after.visual_fingerprint


def test_nothing_but_this_is_in_the_fingerprint(base: ExtractConfig, dataset: Dataset) -> None:
    known = set().union(RULES, *(fields for _, fields in [*SETTINGS.values(), *COVERED.values()]))
    assert set(plan_of(base, dataset).visual_config) <= known


def test_machine_place_and_versions_beside_it_leave_the_fingerprint(
    base: ExtractConfig, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = plan_of(base, dataset).visual_fingerprint
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(96)), raising=False)
    monkeypatch.setattr(torch, "__version__", "9.9")
    monkeypatch.setattr("PIL.__version__", "99.0")
    monkeypatch.setattr("vpar_cache.datasets.decoding.features.version", lambda name: "99")
    monkeypatch.setattr(Encoder, "environment", lambda self: {"processor": "another"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    relative = dataclasses.replace(base, root=Path(os.path.relpath(base.root)), out=Path("tiny.h5"))
    assert plan_of(relative, dataset).visual_fingerprint == before


@pytest.mark.parametrize(("native", "wanted"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_fingerprinted_as_what_it_resolves_to(
    native: bool, wanted: str, base: ExtractConfig, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    auto, told = (plan_of(dataclasses.replace(base, precision=p), dataset) for p in ("auto", wanted))
    assert auto.visual_fingerprint == told.visual_fingerprint
