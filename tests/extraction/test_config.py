"""Settings are checked once. What changes features is fingerprinted: see test_stale.py."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from vpar_cache.cache.fingerprint import differing_fields
from vpar_cache.errors import UserError
from vpar_cache.extraction.config import ExtractConfig, with_preset


def extract(**changes: Any) -> ExtractConfig:
    return ExtractConfig(**{"dataset": "mars", "root": Path("data"), "out": Path("a.h5"), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "marz"}, r"--dataset.*'marz'.*'mars'.*folder"),
        ({"sampling": "all"}, "--sampling.*'all'.*uniform, random"),
        ({"text": "bert"}, "--text.*'bert'.*auto, clip, minilm"),
        ({"backbone": "tim:resnet50"}, r"--backbone.*'tim'.*'timm'"),
        ({"backbone": "timm:resnet50", "text": "clip"}, "--text.*clip.*timm"),
        ({"frames": None, "sampling": "random"}, "--sampling random.*--frames all"),
        ({"frames": None, "keep_frames": True}, "--keep-frames.*--frames N"),
        ({"precision": "int8"}, "--precision.*'int8'.*bf16"),
        ({"out": Path("a.hdf5")}, r"--out.*'a\.hdf5'.*\.h5"),
        ({"devices": ()}, "--device.*--device cpu"),
        ({"frames": 0}, "--frames.*0.*1"),
        ({"frames": math.nan}, "--frames.*nan"),
        ({"frames": 100_000}, "--frames.*100000.*at most 1000"),
        ({"views": 100_000}, "--views.*100000.*at most 100"),
        ({"views": 100, "frames": 1000}, "--views 100 with --frames 1000.*101000.*at most 10000"),
        ({"seed": 10**20}, "--seed.*at most"),
        ({"batch_size": 10**9}, "--batch-size.*at most"),
        ({"workers": 10**6}, "--workers.*at most"),
        ({"shard_size": 10**20}, "--shard-size.*at most"),
        ({"limit": 1}, "--limit.*1.*2"),
        ({"max_bad": -1}, "--max-bad.*-1"),
        ({"labels": Path("l.csv")}, r"--labels.*'l\.csv'.*folder"),
    ],
)
def test_a_wrong_setting_names_option_value_and_rule(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        extract(**changes)


def test_the_root_is_named_after_the_dataset_unless_told() -> None:
    assert ExtractConfig(out=Path("a.h5"), dataset="duke").root == Path("data/duke")
    assert ExtractConfig(out=Path("a.h5")).root is None


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("ViT-B-32", "open_clip:ViT-B-32"),
        ("open_clip:ViT-B-32", "open_clip:ViT-B-32"),
        ("timm:resnet50.a1_in1k", "timm:resnet50.a1_in1k"),
    ],
)
def test_a_backbone_has_one_name(name: str, recorded: str) -> None:
    assert extract(backbone=name).backbone == recorded
    assert extract().backbone == "open_clip:ViT-B-16-quickgelu"


def test_all_frames_are_other_settings_than_any_number_of_them() -> None:
    assert extract(frames=None).visual_settings()["frames"] == "all"
    assert differing_fields(extract(frames=None).visual_settings(), extract().visual_settings()) == [
        "frames: 6 -> 'all'"
    ]


def test_the_reference_preset_is_what_the_authors_code_does() -> None:
    config = extract(**with_preset("reference", {"views": 2, "normalize": "half"}))
    assert (config.frames, config.sampling, config.resize) == (6, "random", "pad")
    assert (config.normalize, config.prompts, config.views) == ("half", "words", 2)
    assert with_preset(None, {"normalize": "own"}) == {"normalize": "own"}


@pytest.mark.parametrize(
    ("preset", "given", "message"),
    [
        ("referense", {}, r"--preset.*'referense'.*'reference'"),
        ("reference", {"normalize": "own"}, "--normalize own.*--preset reference.*half"),
        ("reference", {"frames": None}, "--frames all.*--preset reference.*6"),
    ],
)
def test_an_option_that_contradicts_a_preset_is_an_error(preset: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        with_preset(preset, given)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        extract().frames = 3  # type: ignore[misc]
