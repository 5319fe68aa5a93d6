"""What a stored model is built from has limits, so that no file can ask for all memory."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from vpar_cache.models.settings import ModelSettings
from vpar_cache.runs.model_record import InputsRecord, ModelRecord

INPUTS: dict[str, Any] = {"row_shape": [5, 32], "grid": [2, 2], "prefix_tokens": 1, "logit_scale": 100.0}


def test_the_settings_of_a_training_are_taken_as_they_are() -> None:
    settings = ModelSettings(model="vtb", dim=768, heads=12, layers=2, logit_norm=True, parts="learned")
    assert ModelRecord(**vars(settings)) == ModelRecord(**{**vars(ModelRecord()), **vars(settings)})
    assert {name: getattr(ModelRecord(**vars(settings)), name) for name in vars(settings)} == vars(settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dim": 0}, {"dim": 8200, "heads": 1}, {"dim": 64.0}, {"dim": True}, {"layers": 1001}, {"heads": 3},
        {"dim": 8192, "layers": 100}, {"model": "custom"}, {"model": "../x"}, {"parts": "some"}, {"norm_eps": "x"},
        {"norm_eps": -1.0},
    ],
)  # fmt: skip
def test_settings_beyond_the_limits_of_a_training_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModelRecord(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"row_shape": [5]}, {"row_shape": [5, 10**9]}, {"row_shape": [0, 32]}, {"grid": [2, 2, 2]},
        {"prefix_tokens": -1}, {"logit_scale": float("nan")},
    ],
)  # fmt: skip
def test_shapes_beyond_all_features_are_refused(wrong: dict[str, Any]) -> None:
    assert InputsRecord(**INPUTS).row_shape == [5, 32]
    with pytest.raises(ValidationError):
        InputsRecord(**{**INPUTS, **wrong})
