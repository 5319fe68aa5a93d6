"""Settings of training are checked once, and a run is known by those that decide its results."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from vpar_cache.base.hashing import fingerprint
from vpar_cache.errors import UserError
from vpar_cache.training.config import TrainConfig


def train(**changes: Any) -> TrainConfig:
    return TrainConfig(**{"features": Path("a.h5"), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "vtx"}, "--model.*vtx.*vtf"),
        ({"recipe": "loose"}, "--recipe.*loose.*strict"),
        ({"model": "linear", "logit_norm": True}, "--logit-norm.*linear"),
        ({"block_init": "imagenet"}, "--block-init.*512"),
        ({"recipe": "reference"}, "--loss.*bce.*weighted.*reference"),
        ({"recipe": "reference", "model": "videopar"}, "reference.*vtf"),
        ({"epochs": 0}, "--epochs.*0"),
        ({"lr": math.inf}, "--lr.*inf"),
        ({"val_fraction": 1.0}, r"--val-fraction.*1\.0"),
        ({"dim": 100, "heads": 8}, "--dim.*100.*--heads.*8"),
        ({"logit_norm": True, "batch_size": 1}, "--batch-size.*1.*--logit-norm"),
        ({"parts": "arms"}, "--parts.*'arms'.*fixed, learned"),
        ({"model": "linear", "parts": "fixed"}, "--parts.*linear"),
        ({"model": "videopar", "tune_text": True}, "--tune-text.*videopar"),
        ({"drop_path": 1.0}, r"drop_path.*1\.0"),
        ({"model": "linear", "drop_path": 0.1}, "drop_path.*linear"),
        ({"norm_eps": 0.0}, r"norm_eps.*0\.0"),
        ({"name": "../x"}, r"--name.*\.\./x"),
        ({"model": "prior", "loss": "ce"}, "--loss.*ce.*prior"),
        ({"model": "zero-shot", "loss": "bce"}, "--loss.*bce.*zero-shot"),
        ({"seed": 2**64}, f"--seed.*{2**64}.*{2**63 - 1}"),
        ({"seed": 10**20}, f"--seed.*{10**20}"),
        ({"epochs": 10**20}, f"--epochs.*{10**20}"),
        ({"epochs": 1.5}, r"--epochs.*1\.5.*whole"),
        ({"batch_size": 10**20}, f"--batch-size.*{10**20}"),
        ({"dim": 100_000, "heads": 1}, "--dim.*100000.*8192"),
        ({"dim": 8192, "heads": 8, "layers": 1000}, "--dim 8192.*--layers 1000"),
        ({"layers": 10**20}, f"--layers.*{10**20}"),
        ({"heads": 10**20}, f"--heads.*{10**20}"),
        ({"views": 10**20}, f"--views.*{10**20}"),
    ],
)
def test_a_wrong_setting_names_option_and_value(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(**changes)


def test_a_run_is_known_by_its_settings_and_not_by_where_it_reads_writes_or_computes() -> None:
    same = train(runs=Path("x"), name="n", overwrite=True, device="cpu", features=Path("b.h5"))
    assert same.settings() == train().settings()
    for name, value in {"lr": 0.1, "seed": 1, "epochs": 1, "model": "linear", "logit_norm": True}.items():
        assert fingerprint(train(**{name: value}).settings()) != fingerprint(train().settings())


def test_of_recipe_fills_in_what_the_recipe_sets_and_nothing_else() -> None:
    features = Path("x.h5")
    plain = TrainConfig.of_recipe("strict", features=features, dim=None, loss=None)
    assert plain == TrainConfig(features=features)
    reference = TrainConfig.of_recipe("reference", features=features, epochs=7, dim=None, block_init="random:0")
    assert (reference.loss, reference.schedule, reference.dim) == ("weighted", "warmup-cosine", 768)
    assert (reference.heads, reference.logit_norm, reference.epochs) == (12, True, 7)
    assert (reference.drop_path, reference.norm_eps) == (0.1, 1e-6)
    with pytest.raises(UserError, match=r"--parts.*learned.*reference"):
        TrainConfig.of_recipe("reference", features=features, parts="learned")
    with pytest.raises(UserError, match=r"--dim.*512.*768.*reference"):
        TrainConfig.of_recipe("reference", features=features, dim=512, heads=8)


def test_auto_loss_is_the_model_s_own_and_settings_say_which() -> None:
    for model, loss in (("vtf", "bce"), ("videopar", "ce"), ("3dcnn", "ce"), ("prior", "bce")):
        assert TrainConfig(features=Path("x.h5"), model=model).settings()["loss"] == loss
    assert TrainConfig(features=Path("x.h5"), model="videopar", loss="bce").loss == "bce"


def test_a_copied_block_keeps_the_epsilon_of_its_layernorms() -> None:
    config = train(block_init="random:0", dim=768, heads=12)
    assert (config.norm_eps, config.settings()["norm_eps"], train().norm_eps) == (1e-6, 1e-6, 1e-5)


@pytest.mark.parametrize("loss", ["auto", "bce"])
def test_a_system_without_training_keeps_its_own_loss(loss: str) -> None:
    assert train(model="prior", loss=loss).loss == "bce"
    assert train(model="zero-shot").loss == "ce"
