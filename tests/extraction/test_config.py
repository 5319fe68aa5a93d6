"""Settings are checked once, with the option, the rule and the mend; what changes features is fingerprinted."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpar_cache.base.settings import canonical_json, fingerprint
from vpar_cache.cache.fingerprint import differing_fields
from vpar_cache.errors import UserError
from vpar_cache.extraction.config import ExtractConfig, with_preset
from vpar_cache.training.config import TrainConfig

FEATURE_SETTINGS: dict[str, Any] = {
    "frames": 4,
    "sampling": "random",
    "views": 2,
    "keep_frames": True,
    "resize": "stretch",
    "normalize": "half",
}
ENCODER_SETTINGS: dict[str, Any] = {"backbone": "timm:resnet50", "weights": "random:1", "precision": "fp32"}
"""Fingerprinted through what the encoder says of itself: its tensors and what `auto` came to."""
OTHER_SETTINGS: dict[str, Any] = {
    "dataset": "duke",
    "root": Path("elsewhere"),
    "out": Path("other.h5"),
    "schema": "duke",
    "devices": ("cuda:0", "cuda:1"),
    "seed": 5,
    "prompts": "words",
    "text": "minilm",
    "batch_size": 7,
    "workers": 3,
    "shard_size": 11,
    "limit": 20,
    "max_bad": 4,
    "recheck": True,
    "offline": True,
}


def extract(**changes: Any) -> ExtractConfig:
    return ExtractConfig(**{"dataset": "mars", "root": Path("data"), "out": Path("a.h5"), **changes})


def train(**changes: Any) -> TrainConfig:
    return TrainConfig(**{"features": Path("a.h5"), **changes})


def test_every_setting_is_classed_by_these_tests() -> None:
    fields = {field.name for field in dataclasses.fields(ExtractConfig)}
    assert fields == {*FEATURE_SETTINGS, *ENCODER_SETTINGS, *OTHER_SETTINGS, "labels"}


@pytest.mark.parametrize("name", FEATURE_SETTINGS)
def test_a_setting_that_changes_features_changes_the_visual_settings(name: str) -> None:
    changed = extract(**{name: FEATURE_SETTINGS[name]}).visual_settings()
    assert fingerprint(changed) != fingerprint(extract().visual_settings())
    assert differing_fields(changed, extract().visual_settings()) != []


@pytest.mark.parametrize("name", [*OTHER_SETTINGS, *ENCODER_SETTINGS])
def test_a_setting_that_changes_no_feature_leaves_the_visual_settings(name: str) -> None:
    changed = extract(**{name: {**OTHER_SETTINGS, **ENCODER_SETTINGS}[name]})
    assert changed.visual_settings() == extract().visual_settings()


@pytest.mark.parametrize("drawn", [{"sampling": "random"}, {"views": 1}])
def test_the_seed_counts_where_something_is_drawn(drawn: dict[str, Any]) -> None:
    assert extract(seed=1, **drawn).visual_settings() != extract(seed=2, **drawn).visual_settings()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dataset": "marz"},
            r"--dataset 'marz' is unknown; did you mean 'mars'\? valid are: mars, duke, folder, demo",
        ),
        ({"sampling": "all"}, "--sampling 'all' is unknown; .*uniform, random"),
        ({"resize": "crop"}, "--resize 'crop' is unknown; .*pad, stretch"),
        ({"normalize": "clip"}, "--normalize 'clip' is unknown; .*own, half"),
        ({"text": "bert"}, "--text 'bert' is unknown; .*auto, clip, minilm"),
        ({"backbone": "tim:resnet50"}, r"--backbone: library 'tim' is unknown; did you mean 'timm'\?"),
        ({"backbone": "timm:resnet50", "text": "clip"}, "--text clip needs a backbone of open_clip, not of timm;"),
        (
            {"frames": None, "sampling": "random"},
            "--sampling random draws some frames, but --frames all takes all",
        ),
        ({"frames": None, "keep_frames": True}, "--keep-frames needs the same number of frames .* instead of all"),
        ({"precision": "int8"}, "--precision 'int8' is unknown; .*auto, fp32, bf16, fp16"),
        ({"out": Path("a.hdf5")}, "--out 'a.hdf5' must end in .h5"),
        ({"devices": ()}, "no device is given; use --device cpu, or --gpu 0"),
        ({"frames": 0}, "--frames is 0, but must be a number of at least 1"),
        ({"frames": math.nan}, "--frames is nan"),
        ({"views": -1}, "--views is -1"),
        ({"seed": -1}, "--seed is -1"),
        ({"batch_size": 0}, "--batch-size is 0"),
        ({"workers": 0}, "--workers is 0"),
        ({"shard_size": 0}, "--shard-size is 0"),
        ({"limit": 1}, "--limit is 1, but must be a number of at least 2"),
        ({"max_bad": -1}, "--max-bad is -1"),
        ({"labels": Path("l.csv")}, "--labels 'l.csv' goes with --dataset folder, not mars"),
    ],
)
def test_a_wrong_extract_setting_names_option_value_and_rule(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        extract(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "vtx"}, "--model 'vtx' is unknown; .*vtf"),
        ({"protocol": "loose"}, "--protocol 'loose' is unknown; .*strict, paper, reference"),
        ({"schedule": "step"}, "--schedule 'step' is unknown; .*constant, warmup-cosine"),
        ({"model": "linear", "logit_norm": True}, "--logit-norm goes with --model vtf or vtb, not linear"),
        ({"model": "prior", "block_init": "imagenet"}, "--block-init goes with --model vtf or vtb, not prior"),
        ({"block_init": "imagenet"}, "--block-init takes a block of width 768 with 12 heads, not 512 with 8"),
        ({"protocol": "reference"}, "--loss is bce, but --protocol reference fixes it at weighted"),
        ({"protocol": "reference", "model": "videopar"}, "--protocol reference is the authors' training of vtf"),
        ({"loss": "focal"}, "--loss 'focal' is unknown; .*bce, weighted"),
        ({"epochs": 0}, "--epochs is 0"),
        ({"batch_size": 0}, "--batch-size is 0"),
        ({"weight_decay": -1e-4}, "--weight-decay is -0.0001"),
        ({"lr": 0.0}, "--lr is 0.0, but must be a positive number"),
        ({"lr": math.inf}, "--lr is inf"),
        ({"lr": math.nan}, "--lr is nan"),
        ({"val_fraction": 1.0}, "--val-fraction is 1.0, but must lie between 0 and 1"),
        ({"dim": 100, "heads": 8}, "--dim 100 is no multiple of --heads 8"),
        ({"logit_norm": True, "batch_size": 1}, "--logit-norm needs --batch-size 2 or more"),
        ({"name": "../x"}, "--name '../x' must be letters, digits"),
        ({"name": ""}, "--name '' must be"),
        ({"seed": -1}, "--seed is -1"),
    ],
)
def test_a_wrong_train_setting_names_option_value_and_rule(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(**changes)


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
        ("referense", {}, r"--preset 'referense' is unknown; did you mean 'reference'\?"),
        (
            "reference",
            {"normalize": "own"},
            "--normalize own contradicts --preset reference, which means half",
        ),
        ("reference", {"sampling": "uniform"}, "--sampling uniform contradicts"),
        ("reference", {"prompts": "paper"}, "--prompts paper contradicts"),
        ("reference", {"frames": None}, "--frames all contradicts --preset reference, which means 6"),
    ],
)
def test_an_option_that_contradicts_a_preset_is_an_error(preset: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        with_preset(preset, given)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        extract().frames = 3  # type: ignore[misc]


def test_a_run_is_known_by_its_settings_and_not_by_where_it_reads_writes_or_computes() -> None:
    same = train(runs=Path("x"), name="n", overwrite=True, device="cpu", features=Path("b.h5"))
    assert same.settings() == train().settings()
    assert fingerprint(same.settings()) == fingerprint(train().settings())
    for name, value in {"lr": 0.1, "seed": 1, "epochs": 1, "model": "linear", "logit_norm": True}.items():
        assert fingerprint(train(**{name: value}).settings()) != fingerprint(train().settings())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(value=_JSON)
def test_canonical_json_gives_the_value_back(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(value=st.dictionaries(st.text(), _JSON))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical_json(turned) == canonical_json(value)
    assert fingerprint(turned) == fingerprint(value)


def test_canonical_json_is_compact_sorted_and_readable() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "ß"}) == '{"a":"ß","b":[1,2.5]}'


def test_nan_has_no_canonical_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": math.nan})


def test_differing_fields_show_what_was_and_what_is() -> None:
    ours, theirs = {"frames": 4, "same": 1, "new": "x"}, {"frames": 6, "same": 1, "old": 2}
    assert differing_fields(ours, theirs) == ["frames: 6 -> 4", "new: None -> 'x'", "old: 2 -> None"]


def test_of_protocol_fills_in_what_the_protocol_fixes_and_nothing_else() -> None:
    features = Path("x.h5")
    plain = TrainConfig.of_protocol("strict", features=features, dim=None, loss=None)
    assert plain == TrainConfig(features=features)
    reference = TrainConfig.of_protocol("reference", features=features, epochs=7, dim=None, block_init="random:0")
    assert (reference.loss, reference.schedule, reference.dim) == ("weighted", "warmup-cosine", 768)
    assert (reference.heads, reference.logit_norm, reference.epochs) == (12, True, 7)
    with pytest.raises(UserError, match="--dim is 512, but --protocol reference fixes it at 768; leave it out"):
        TrainConfig.of_protocol("reference", features=features, dim=512, heads=8)


def test_auto_loss_is_the_model_s_own_and_settings_say_which() -> None:
    for model, loss in (("vtf", "bce"), ("videopar", "ce"), ("3dcnn", "ce"), ("prior", "bce")):
        assert TrainConfig(features=Path("x.h5"), model=model).settings()["loss"] == loss
    assert TrainConfig(features=Path("x.h5"), model="videopar", loss="bce").loss == "bce"
