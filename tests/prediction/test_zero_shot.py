"""Without a run: what the zero-shot system of the tables says, marked as untrained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vpar_cache.attributes.built_in import load_schema
from vpar_cache.cache.features import open_features
from vpar_cache.errors import UserError
from vpar_cache.prediction.predictor import EncoderOptions, load_run
from vpar_cache.prediction.zero_shot import zero_shot, zero_shot_thresholds
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train

OPTIONS = EncoderOptions("cpu", "random:0", "fp32")


def test_it_says_what_the_system_of_the_tables_says(tiny_cache: Path, tiny_backbone: str, tmp_path: Path) -> None:
    run = load_run(train(TrainConfig(features=tiny_cache, runs=tmp_path, model="zero-shot", device="cpu")).folder)
    own = zero_shot(load_schema("mars"), OPTIONS, backbone=tiny_backbone)
    features = open_features(tiny_cache)
    rows = features.visual.gather([0, 3, 17])
    np.testing.assert_allclose(own.run.predict(rows), run.run.predict(rows), atol=1e-6)


def test_answers_are_marked_and_have_thresholds_of_their_own(tiny_backbone: str, people: Path) -> None:
    schema = load_schema("mars")
    own = zero_shot(schema, OPTIONS, backbone=tiny_backbone)
    table = own.predict(sorted(people.iterdir())[:2], one_person=True)
    assert table["note"][0].as_py().startswith("untrained: ")
    assert "random weights" in table["note"][0].as_py()
    thresholds = zero_shot_thresholds(schema)
    assert {0.5, 2 / 6, 2 / 9, 2 / 10} <= set(thresholds.tolist())
    found = np.array(table["probabilities"].to_pylist())  # (2, A)
    for group, columns in schema.slices():
        if group.is_choice:
            np.testing.assert_allclose(found[:, columns].sum(axis=1), 1, atol=1e-5)


def test_a_backbone_without_phrases_is_refused() -> None:
    with pytest.raises(UserError, match="zero-shot needs text and image features of one CLIP"):
        zero_shot(load_schema("mars"), OPTIONS, backbone="timm:test_vit")
